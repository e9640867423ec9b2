"""The web stack of every page: Starlette and uvicorn, users with roles, sessions, strict headers, vendored scripts.

Applications of it: the Console on a device; `label --serve` and others of the tools. An application is a list of
routes and a folder of static files; `application` puts access control and headers around them, `WebServer` serves it.
"""
