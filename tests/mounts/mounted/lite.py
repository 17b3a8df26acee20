from typing import Any

from litestar import Litestar, Request, get, post


@get("/orders/{number:int}", sync_to_thread=False)
def get_order(number: int, verbose: bool = False) -> dict[str, object]:
    return {"number": number, "verbose": verbose}


@post("/orders")
async def put_order(data: dict[str, Any], request: Request[Any, Any, Any]) -> dict[str, object]:
    return {"data": data, "path": request.url.path[-12:]}


application = Litestar([get_order, put_order], openapi_config=None, logging_config=None)
