"""Applications of other frameworks beside a route of ours: what `portable verify` compares between targets."""

from portable import App

app = App("mounted")
app.mount("/modern", "modern:application")
app.mount("/old", "old:application", max_body=100)
app.mount("/api", "api:application")
app.mount("/lite", "lite:application")
app.mount("/pages", "pages:wsgi")
app.mount("/async-pages", "pages:asgi")


@app.get("/own")
def own() -> str:
    return "own"


@app.get("/modern/moved-here")
def moved_here() -> str:
    return "one route of the application is ours by now"
