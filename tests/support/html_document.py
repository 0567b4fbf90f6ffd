"""An HTML page as nested lists, and its script run by node on as much of a document as it needs."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

VOID = {"meta", "img", "br", "link", "input"}
DOM = Path(__file__).with_name("document.js")


class Tree(HTMLParser):
    """The page as nested lists [tag, attributes, children]; fails where tags are not balanced."""

    def __init__(self) -> None:
        super().__init__()
        self.root: list[Any] = ["document", {}, []]
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        node: list[Any] = [tag, {name: value or "" for name, value in attrs}, []]
        self.open[-1][2].append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag, f"</{tag}> closes something else, line {self.getpos()[0]}"

    def handle_data(self, data: str) -> None:
        self.open[-1][2].append(data)


def parsed(text: str) -> list[Any]:
    tree = Tree()
    tree.feed(text)
    tree.close()
    assert tree.open == [tree.root]
    return tree.root


def walk(node: list[Any]) -> Iterator[list[Any]]:
    for child in node[2]:
        if isinstance(child, list):
            yield child
            yield from walk(child)


def text_of(node: list[Any]) -> str:
    return "".join(child if isinstance(child, str) else text_of(child) for child in node[2])


def data_of(root: list[Any]) -> list[Any]:
    return json.loads(next(text_of(node) for node in walk(root) if node[1].get("id") == "data"))


def run(root: list[Any], check: str) -> Any:
    """What the expression gives after the page's own script has run on the page's own elements."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: the page's script is not run")
    script = next(text_of(each) for each in walk(root) if each[0] == "script" and not each[1])
    line = f"{DOM.read_text()}\n{script}\nconsole.log(JSON.stringify((() => {{ {check} }})()));"
    done = subprocess.run(
        [node, "-e", line], input=json.dumps(root), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
