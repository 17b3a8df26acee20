import sys
from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path, reverse


def echo(request: HttpRequest, name: str = "") -> HttpResponse:
    facts: dict[str, Any] = {
        "method": request.method,
        "path": request.path_info,
        "query": dict(request.GET.lists()),
        "post": dict(request.POST.lists()),
        "cookies": request.COOKIES,
        "url": reverse("named", kwargs={"name": "x"})[-7:],
        "name": name,
    }
    response = JsonResponse(facts)
    response.set_cookie("one", "1")
    return response


async def slow(request: HttpRequest) -> HttpResponse:
    return HttpResponse("awaited", content_type="text/plain")


urlpatterns = [path("echo", echo), path("echo/<name>", echo, name="named"), path("slow", slow)]
if not settings.configured:  # a build imports the app once for each target, and Django is configured once a process
    urls = sys.modules[__name__]
    settings.configure(SECRET_KEY="a test's", ALLOWED_HOSTS=["*"], ROOT_URLCONF=urls, LOGGING_CONFIG=None)
    django.setup()
asgi = get_asgi_application()
wsgi = get_wsgi_application()
