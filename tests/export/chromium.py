"""A headless browser for tests: one page, driven through a pair of pipes."""

import json
import os
import subprocess

from .client_programs import need


class Browser:
    """A page of headless Chromium, spoken to in the DevTools protocol through a pair of pipes."""

    def __init__(self, profile):
        theirs_in, self.to = os.pipe()
        self.come, theirs_out = os.pipe()
        flags = "--headless --no-sandbox --disable-gpu --no-first-run --hide-scrollbars --window-size=1040,640"
        command = f'exec "$0" {flags} --user-data-dir="$1" --remote-debugging-pipe 3<&{theirs_in} 4>&{theirs_out}'
        self.process = subprocess.Popen(
            ["/bin/bash", "-c", command, need("chromium"), str(profile)],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.count, self.session, self.rest = 0, None, b""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.send("Page.enable")

    def message(self):
        while b"\0" not in self.rest:
            part = os.read(self.come, 1 << 16)
            assert part, "Chromium has ended"
            self.rest += part
        one, _, self.rest = self.rest.partition(b"\0")
        return json.loads(one)

    def send(self, method, **parameters):
        self.count += 1
        asked = {"id": self.count, "method": method, "params": parameters}
        if self.session:
            asked["sessionId"] = self.session
        os.write(self.to, json.dumps(asked).encode() + b"\0")
        while (answer := self.message()).get("id") != self.count:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, url):
        self.send("Page.navigate", url=url)
        while self.message().get("method") != "Page.loadEventFired":
            pass

    def value(self, expression):
        answer = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.to)
        os.close(self.come)
