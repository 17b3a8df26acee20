import flask

application = flask.Flask("old")


@application.route("/echo", methods=["GET", "POST", "PUT", "DELETE"])
@application.route("/files/<path:name>")
def echo(name: str = "") -> dict[str, object]:
    request = flask.request
    return {
        "method": request.method,
        "path": request.path,
        "root": request.script_root[-4:],
        "query": list(request.args.items(multi=True)),
        "form": list(request.form.items(multi=True)),
        "cookies": dict(request.cookies),
        "many": request.headers.get("x-many"),
        "name": name,
        "body": request.get_data().decode("latin-1"),
    }


@application.route("/cookies")
def cookies() -> flask.Response:
    response = flask.make_response("two cookies")
    response.set_cookie("one", "1")
    response.set_cookie("two", "2")
    return response


@application.route("/streamed")
def streamed() -> flask.Response:
    return flask.Response((f"piece {number}\n" for number in range(3)), mimetype="text/plain")


@application.route("/fails")
def fails() -> str:
    raise LookupError("not in the answer")
