"""Serving: saved runs as a page and a JSON API, live, with the numbers that the commands give.

served  one run as it is shown; nothing here knows HTTP
links   the list of new links of each run, found in the background
limits  how much a request may ask for
work    a few threads for what takes time, and a bound on who waits for them
guard   who may ask: host, origin, token, size; and the headers of every answer
schema  the shapes of questions and answers, for the OpenAPI document
api     the routes
server  a socket, and uvicorn on it
"""
