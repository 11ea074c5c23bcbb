#!/usr/bin/env python3
"""Prints every client that was created or changed since the last run.

    export CLIENTELE_URL=http://127.0.0.1:8080 CLIENTELE_USER=ann CLIENTELE_TOKEN=...
    python3 polling.py state.json

What was handled is kept in the file. A run that was cut short is simply done again.
"""

import base64
import json
import os
import sys
import urllib.parse
import urllib.request

PER_PAGE = int(os.environ.get("PER_PAGE", "500"))


def get(path, parameters):
    url = f"{os.environ['CLIENTELE_URL']}{path}?{urllib.parse.urlencode(parameters)}"
    credentials = f"{os.environ['CLIENTELE_USER']}/token:{os.environ['CLIENTELE_TOKEN']}"
    request = urllib.request.Request(url)
    request.add_header("Authorization", "Basic " + base64.b64encode(credentials.encode()).decode())
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def changed_since(instant):
    """All pages of one poll, until one is short: in turn, and without long breaks."""
    page = 1
    while True:
        parameters = {"updated_from": instant, "per_page": PER_PAGE, "page": page}
        clients = get("/api/v1/clients", parameters)
        yield from clients
        if len(clients) < PER_PAGE:
            return
        page += 1


def handle(client):
    """Your own work. It may see a client a second time after a run that was cut short."""
    print(json.dumps({"id": client["id"], "version": client["version"]}))


def main(state_file):
    try:
        with open(state_file, encoding="utf-8") as file:
            state = json.load(file)
    except FileNotFoundError:
        state = {"instant": "1970-01-01T00:00:00.000Z", "versions": {}}
    # The largest instant of all pages. These texts sort as the instants do.
    instant, versions = state["instant"], dict(state["versions"])
    for client in changed_since(state["instant"]):
        # The bound is inclusive: what was handled last is there once more.
        if state["versions"].get(str(client["id"])) != client["version"]:
            handle(client)
        if client["updated_at"] > instant:
            instant, versions = client["updated_at"], {}
        if client["updated_at"] == instant:
            versions[str(client["id"])] = client["version"]
    # Only now: it is all handled.
    with open(state_file + ".new", "w", encoding="utf-8") as file:
        json.dump({"instant": instant, "versions": versions}, file)
    os.replace(state_file + ".new", state_file)


if __name__ == "__main__":
    main(sys.argv[1])
