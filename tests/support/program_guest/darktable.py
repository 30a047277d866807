"""darktable, driven by its own Lua."""

from __future__ import annotations

import os
import time
from typing import Any

from tests.support.program_guest.desktop import ADDED, MOVED, RENAMED, STARS, Program, rows, wait

LUA = """
local dt = require "darktable"
local function find()
  for _, one in ipairs(dt.database) do
    if one.filename == "{name}" then return one end
  end
end
if not find() then dt.database.import("{folder}") end
local image = find()
while not image do
  dt.control.sleep(300)
  image = find()
end
dt.control.sleep(3000)
{action}
dt.control.sleep(1000)
local out = io.open("{out}.part", "w")
out:write(tostring(image.rating), "\\n")
for _, tag in ipairs(dt.tags.get_tags(image)) do out:write(tag.name, "\\n") end
out:close()
os.rename("{out}.part", "{out}")
"""
LUA_ACTIONS = {
    "look": "",
    "rate": f"image.rating = {STARS}",
    "add": f'dt.tags.attach(dt.tags.create("{ADDED}"), image)',
    "delete": 'for _, tag in ipairs(dt.tags.get_tags(image)) do\n  if tag.name:match("{tag}$") then'
    " dt.tags.detach(tag, image) end\nend",
    "rename": "image.rating = 2",  # the library has the new name already: all tags are written
    "move": f'dt.database.move_image(image, image.film, "{MOVED}.jpg")',
}


class Darktable(Program):
    """darktable as it is installed, driven by its own Lua."""

    kind = "darktable"

    def prepare(self, action: str) -> None:
        self.out = self.home / "held"
        for left in (
            self.out,
            self.home / "library.db.lock",
            self.home / "config" / "data.db.lock",
        ):
            left.unlink(missing_ok=True)
        if action == "rename":
            names = self.home / "config" / "data.db"
            rename = "UPDATE tags SET name = replace(name, ?, ?) WHERE name LIKE '%' || ?"
            rows(names, rename, os.environ["TAG"], RENAMED, os.environ["TAG"])
        done = LUA_ACTIONS[action].replace("{tag}", os.environ.get("TAG", ""))
        script = self.home / "do.lua"
        script.write_text(
            LUA.format(name=self.photo.name, folder=self.folder, action=done, out=self.out)
        )
        places = [f"--{kind}dir={self.home}/{kind}" for kind in ("config", "cache", "tmp")]
        (self.home / "tmp").mkdir(exist_ok=True)
        words = [word for place in places for word in place.split("=")]
        conf = ["--conf", "run_crawler_on_start=FALSE", "--conf", "plugins/opencl=FALSE"]
        library = ["--library", str(self.home / "library.db")]
        load = ["--luacmd", f'dofile("{script}")']
        self.command = ("darktable", *words, *library, *conf, *load)

    def act(self, action: str) -> dict[str, Any]:
        self.prepare(action)
        with self.running():
            wait(self.out.exists)
            time.sleep(4)  # sidecars are written a while later
        rating, *tags = self.out.read_text().split("\n")[:-1]
        own = [tag for tag in tags if not tag.startswith("darktable|")]
        return {"tags": sorted(tag.replace("|", "/") for tag in own), "rating": int(rating)}
