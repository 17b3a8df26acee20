from typing import Annotated

from fastapi import BackgroundTasks, Cookie, Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel

application = FastAPI(title="Api")
done: list[str] = []


class Order(BaseModel):
    item: str
    count: int = 1


def user(session: Annotated[str | None, Cookie()] = None) -> str:
    if session is None:
        raise HTTPException(401, "no session", {"www-authenticate": "Session"})
    return session


@application.get("/orders/{number}", name="order")
def get_order(number: int, verbose: bool = False) -> dict[str, object]:
    return {"number": number, "verbose": verbose}


@application.post("/orders", status_code=201)
async def put_order(
    order: Order, request: Request, tasks: BackgroundTasks, by: Annotated[str, Depends(user)]
) -> dict[str, object]:
    tasks.add_task(done.append, order.item)
    return {"order": order, "by": by, "at": request.url_for("order", number=7).path[-13:], "done": done}
