"""Runs REDbot on a URL and prints every note as JSON: level, class, summary, and which request it is about."""

import json
import sys
from configparser import ConfigParser

import thor
from redbot.resource import HttpResource


def notes_of(resource, request):
    return [
        {"level": note.level.value, "note": type(note).__name__, "summary": str(note.summary), "request": request}
        for note in resource.response.notes
    ]


def main():
    config = ConfigParser()
    # The server under test listens on this machine.
    config.read_dict({"redbot": {"enable_local_access": "True"}})
    resource = HttpResource(config["redbot"])
    resource.set_request(sys.argv[1])

    @thor.events.on(resource)
    def check_done():
        thor.stop()

    resource.check()
    thor.run()
    notes = notes_of(resource, "GET")
    for name, check in resource.subreqs.items():
        notes += notes_of(check, name)
    json.dump({"status": resource.response.status_code, "complete": resource.response.complete, "notes": notes}, sys.stdout)


main()
