"""Leave out clauses of the shipped code, to show that each of them is needed.

A comment at the end of a line, `# clause 7-confirm`, names the clause on this line:

| the line has | without the clause |
|---|---|
| an operand of `and` or `or`, alone on its lines | the other operands remain |
| an element of a table, alone on its lines | it is absent |
| an argument of a call, or a condition of a comprehension, alone on its lines | it is absent |
| the condition of an `if` | it is never true |
| an assignment to a variable that has a value, or a call | it is absent |
| another statement, or one of these with an entry in REPLACEMENTS | the text is replaced |

`without` compiles the module again and exchanges the code of the functions, so that all modules
that refer to them are changed. `replaced` puts another text into one function in the same way.
Standard library only, Python 3.9.
"""

from __future__ import annotations

import ast
import functools
import importlib
import re
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

import elasticjob

ROOT = Path(elasticjob.__path__[0])
PACKAGES = ("rendezvous", "controller/plan", "controller/observe")
_TAG = re.compile(r"\S.*?  # clause ([a-z0-9-]+)$")

# For a clause whose absence needs other text: the text that is replaced once, and its replacement.
REPLACEMENTS: dict[str, tuple[str, str]] = {
    "2-mine": (
        "me = _record_own_lease(me, lease, now)",
        "me = (\n"
        "    replace(me, exit=setup_failure('exists already'))\n"
        "    if event.by_get and me.stage in (Stage.CREATING, Stage.CHECKING)\n"
        "    else _record_own_lease(me, lease, now)\n"
        ")",
    ),
    "4-fatal-until-terminal": (
        "n = 1",
        "if me.fatal_cause.n is not None and lease.round.n != me.fatal_cause.n:\n"
        "    return no_action(me)\n"
        "n = 1",
    ),
    "4-first-by-more-than-error": ("after_ms(failure) + error_ms", "after_ms(failure)"),
    "4-trained": ("round_.trained or most", "most"),
    "4-start-budget": ("return start_failures(round_.charged, desired) + 1 > most", "return False"),
    "5-reopens": (
        "return me, (ReopenStream(wide=False),)",
        "return replace(me, doubted_pulse=None, holder_silent=True), ()",
    ),
    "6-by-name": ("job_name(me.who.name)", "job_name(name)"),
    "7-absent-is-silent": (
        "suspected = suspected_kind",
        "if lease is None:\n    return CauseKind.POD_SILENT\nsuspected = suspected_kind",
    ),
    "7-done-tagged": (
        "return has_reported(case, pod, AgentPhase.DONE)",
        "lease = case.lease(pod)\n"
        "return lease is not None and lease.state.phase is AgentPhase.DONE",
    ),
    "7-late": ("return case.now.has_come(deadline_at)", "return False"),
    "7-leaving-before-lost": (
        "lease.state.leaving",
        "lease.state.leaving and loss_kind(case, pod, timing.SILENT_PULSES) is None",
    ),
    "7-outside": ("return outside", "return frozenset()"),
    "7-was-blind": ("return self.contact_since + silence_s", "return -math.inf"),
    "8-departures-strike-nothing": ("judged.charged_losses", "judged.removed"),
    "8-failed-before-departures": (
        "return is_over_budget(case, judged)",
        "return False",
    ),
    "8-keeps-delay": ("return timing.remaining_ms(case.round.delay_ms, waited_s)", "return 0"),
    "8-strike": ("return charged.struck_above(lowest)", "return charged"),
    "8-strike-all": ("min(reported)", "max(n - 1, min(reported))"),
}


class ClauseError(ValueError):
    """A clause is unknown, has the name of another one, or its line has no form of the table."""


@dataclass(frozen=True)
class Clause:
    """A tagged line. function: its qualified name; empty: the line is in a table of the module."""

    name: str
    path: Path
    line: int
    function: str
    text: str  # the line without its comment

    @property
    def module(self) -> str:
        """The name of the module."""
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return ".".join(("elasticjob", *parts)).replace(".__init__", "")


def clauses(*packages: str) -> dict[str, Clause]:
    """All clauses of these packages, or of all packages, by name. Raises ClauseError."""
    found: dict[str, Clause] = {}
    for package in packages or PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for clause in _clauses_of(path):
                if clause.name in found:
                    raise ClauseError(f"{clause.name}: in {found[clause.name].path} and {path}")
                found[clause.name] = clause
    return found


def table(module: types.ModuleType, variable: str) -> dict[str, Any]:
    """The elements of the table of a module, by the names of their clauses."""
    assert module.__file__ is not None
    tagged = [clause for clause in _clauses_of(Path(module.__file__)) if not clause.function]
    elements = getattr(module, variable)
    if len(tagged) != len(elements):
        raise ClauseError(f"{module.__name__}.{variable}: an element has no clause")
    return {clause.name: element for clause, element in zip(tagged, elements)}


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Leave out these clauses. Raises ClauseError."""
    by_path: dict[Path, list[str]] = {}
    for name in names:
        by_path.setdefault(_path_of(name), []).append(name)
    with ExitStack() as changed:
        for path, left_out in by_path.items():
            for change, undo in _changes(path, tuple(sorted(left_out))):
                changed.callback(undo)
                change()
        yield


@contextmanager
def replaced(module: str, function: str, old: str, new: str) -> Iterator[None]:
    """Replace a text in a shipped function. Raises ClauseError unless it has the text once."""
    shipped = importlib.import_module(module)
    assert shipped.__file__ is not None
    path = Path(shipped.__file__)
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines(keepends=True)
    node = _named(ast.parse(source), function, module)
    first, last = node.lineno - 1, node.end_lineno or 0
    text = "".join(lines[first:last])
    if text.count(old) != 1:
        raise ClauseError(f"{module}.{function}: {text.count(old)} times {old!r}")
    changed = "".join([*lines[:first], text.replace(old, new), *lines[last:]])
    change, undo = _of_function(shipped, function, compile(changed, str(path), "exec"))
    change()
    try:
        yield
    finally:
        undo()


# ---- finding clauses -----------------------------------------------------------------------------


@functools.cache
def _clauses_of(path: Path) -> tuple[Clause, ...]:
    lines = path.read_text(encoding="utf-8").splitlines()
    tagged = {number: line for number, line in enumerate(lines, 1) if "# clause " in line}
    if not tagged:
        return ()
    tree = ast.parse("\n".join(lines))
    found = []
    for number, line in tagged.items():
        matched = _TAG.search(line)
        if matched is None:
            raise ClauseError(f"{path}:{number}: not of the form `CODE  # clause NAME`")
        text = line.partition("  # clause ")[0].strip()
        function = ".".join(_scope(tree, number))
        found.append(Clause(matched[1], path, number, function, text))
    return tuple(found)


@functools.cache
def _paths() -> dict[str, Path]:
    """The module of each clause, without parsing what an old interpreter cannot import."""
    found: dict[str, Path] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for name in re.findall(r"  # clause ([a-z0-9-]+)$", path.read_text("utf-8"), re.M):
                if name in found:
                    raise ClauseError(f"{name}: in {found[name]} and {path}")
                found[name] = path
    return found


def _path_of(name: str) -> Path:
    if name not in _paths():
        raise ClauseError(f"no clause {name}; there are {', '.join(sorted(_paths()))}")
    return _paths()[name]


def _scope(tree: ast.Module, line: int) -> tuple[str, ...]:
    """The names of the classes around a line, and of the outermost function."""
    names: list[str] = []
    body = tree.body
    while True:
        around = [
            node
            for node in body
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
            and node.lineno <= line <= (node.end_lineno or 0)
        ]
        if not around:
            return tuple(names)
        names.append(around[0].name)
        if not isinstance(around[0], ast.ClassDef):
            return tuple(names)
        body = around[0].body


def _named(tree: ast.Module, function: str, module: str) -> ast.FunctionDef:
    """The definition of a function with this qualified name. Raises ClauseError."""
    body: list[ast.stmt] = tree.body
    *classes, name = function.split(".")
    for part in classes:
        body = [y for x in body if isinstance(x, ast.ClassDef) and x.name == part for y in x.body]
    found = [x for x in body if isinstance(x, ast.FunctionDef) and x.name == name]
    if len(found) != 1:
        raise ClauseError(f"{module}: {len(found)} functions {function}")
    return found[0]


# ---- leaving them out ----------------------------------------------------------------------------

Node = Union[ast.expr, ast.stmt]
Change = tuple[Callable[[], None], Callable[[], None]]  # what makes it, and what takes it back


def _changes(path: Path, names: tuple[str, ...]) -> Iterator[Change]:
    """The changes of the functions and tables of a module that leave out these clauses."""
    tree, found, code = _compiled(path, names)
    module = importlib.import_module(found[0].module)
    for function in {clause.function for clause in found}:
        yield _of_function(module, function, code) if function else _of_tables(module, tree, found)


@functools.cache
def _compiled(
    path: Path, names: tuple[str, ...]
) -> tuple[ast.Module, tuple[Clause, ...], types.CodeType]:
    tree, found = mutated(path, names)
    return tree, found, _compile(tree, path)


def _compile(tree: ast.Module, path: Path) -> types.CodeType:
    """The code of statements of a module, which has `from __future__ import annotations`."""
    return compile(tree, str(path), "exec", annotations.compiler_flag, dont_inherit=True)


def mutated(path: Path, names: tuple[str, ...]) -> tuple[ast.Module, tuple[Clause, ...]]:
    """The statements of the module that have these clauses, without them. Raises ClauseError if a
    line has no form of the table."""
    found = tuple(clause for clause in _clauses_of(path) if clause.name in names)
    source = path.read_text(encoding="utf-8")
    tree = _statements(path, frozenset(clause.line for clause in found))
    for clause, target in [(clause, _target(tree, clause)) for clause in found]:
        tree = _Removal(target, _rest(tree, source, clause, target)).visit(tree)
    return ast.fix_missing_locations(tree), found


def _statements(path: Path, of: frozenset[int]) -> ast.Module:
    """The statements of a module, at its top, with these lines."""
    lines, spans = _spans(path)
    kept = {number for span in spans if not of.isdisjoint(span) for number in span}
    return ast.parse("\n".join(x if number in kept else "" for number, x in enumerate(lines, 1)))


@functools.cache
def _spans(path: Path) -> tuple[list[str], list[range]]:
    """The lines of a module, and the numbers of those of each statement with its decorators."""
    source = path.read_text(encoding="utf-8")
    spans = []
    for node in ast.parse(source).body:
        first = min([node.lineno, *(x.lineno for x in getattr(node, "decorator_list", []))])
        spans.append(range(first, (node.end_lineno or 0) + 1))
    return source.split("\n"), spans


def _of_function(module: types.ModuleType, name: str, code: types.CodeType) -> Change:
    owner: Any = module
    for part in name.split("."):
        code = _code(code, part)
        owner = vars(owner)[part]
    function = _plain(owner)
    shipped = function.__code__
    return (
        lambda: setattr(function, "__code__", code),
        lambda: setattr(function, "__code__", shipped),
    )


def _code(code: types.CodeType, name: str) -> types.CodeType:
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType) and c.co_name == name]
    if len(inner) != 1:
        raise ClauseError(f"{code.co_filename}: {len(inner)} functions {name}")
    return inner[0]


def _plain(found: Any) -> types.FunctionType:
    """The function behind a property or a decorator."""
    for attribute in ("fget", "func", "__func__", "__wrapped__"):
        if not isinstance(found, types.FunctionType) or attribute == "__wrapped__":
            found = getattr(found, attribute, found)
    assert isinstance(found, types.FunctionType)
    return found


def _of_tables(module: types.ModuleType, tree: ast.Module, found: tuple[Clause, ...]) -> Change:
    """The change of the variables of a module, wherever they were imported."""
    lines = [clause.line for clause in found if not clause.function]
    tables = [x for x in tree.body if isinstance(x, (ast.Assign, ast.AnnAssign)) and _has(x, lines)]
    scope = dict(vars(module))
    exec(compile(ast.Module(tables, []), str(module.__file__), "exec"), scope)
    targets = [y for x in tables for y in (x.targets if isinstance(x, ast.Assign) else [x.target])]
    names = [y.id for y in targets if isinstance(y, ast.Name)]
    shipped = {name: getattr(module, name) for name in names}
    places = [
        (other, key, name)
        for other in [m for n, m in sys.modules.items() if n.startswith("elasticjob.")]
        for key, value in list(vars(other).items())
        for name in names
        if value is shipped[name]
    ]

    def put(values: dict[str, Any]) -> None:
        for other, key, name in places:
            setattr(other, key, values[name])

    return (lambda: put(scope), lambda: put(shipped))


def _has(node: ast.stmt, lines: list[int]) -> bool:
    return any(node.lineno <= line <= (node.end_lineno or 0) for line in lines)


def _stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


# ---- the forms -----------------------------------------------------------------------------------


class _Removal(ast.NodeTransformer):
    """Put other nodes in place of one node; none: remove it."""

    def __init__(self, target: Node, rest: list[Node]) -> None:
        self.target = target
        self.rest = rest

    def visit(self, node: ast.AST) -> Any:
        """Visit a node."""
        if node is self.target:
            return self.rest if len(self.rest) != 1 else self.rest[0]
        node = super().visit(node)
        if isinstance(node, ast.BoolOp) and len(node.values) == 1:
            return node.values[0]
        return node


def _target(tree: ast.Module, clause: Clause) -> Node:
    """The node of a clause: an operand, element or condition; else the condition of an `if`; else a
    statement."""
    nodes = list(ast.walk(tree))
    items = [item for node in nodes for item in _items(node) if item.end_lineno == clause.line]
    conditions = [n.test for n in nodes if isinstance(n, (ast.If, ast.While)) and _is_of(n, clause)]
    statements = [n for n in nodes if isinstance(n, _SIMPLE) and n.end_lineno == clause.line]
    for found in (items, conditions, statements):
        if found:
            lines = [(item.end_lineno or 0) - item.lineno for item in found]
            if lines.count(min(lines)) > 1:
                break
            return found[lines.index(min(lines))]  # the innermost one
    raise ClauseError(f"{clause.path}:{clause.line}: {clause.name} has no form")


_SIMPLE = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return, ast.Expr)


def _is_of(node: ast.If | ast.While, clause: Clause) -> bool:
    """Whether the line of the clause is the last one of the condition."""
    return (node.test.end_lineno or 0) <= clause.line < node.body[0].lineno


def _items(node: ast.AST) -> list[ast.expr]:
    """The operands, elements and conditions of a node that are alone on their lines."""
    before = 0
    if isinstance(node, ast.BoolOp):
        found = node.values if node.lineno != node.end_lineno else []
    elif isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        found, before = node.elts, node.lineno
    elif isinstance(node, ast.Call):
        found, before = node.args, node.func.end_lineno or 0
    elif isinstance(node, ast.comprehension):
        found, before = node.ifs, node.iter.end_lineno or 0
    else:
        return []
    ends = [before, *(item.end_lineno or 0 for item in found)]
    starts = [*(item.lineno for item in found[1:]), sys.maxsize]
    return [
        item
        for item, end_before, start_after in zip(found, ends, starts)
        if end_before < item.lineno and (item.end_lineno or 0) < start_after
    ]


def _rest(tree: ast.Module, source: str, clause: Clause, target: Node) -> list[Node]:
    """What remains in the place of the clause."""
    if clause.name in REPLACEMENTS:
        return _replaced(source, clause, target)
    if isinstance(target, ast.expr):
        tests = (n.test for n in ast.walk(tree) if isinstance(n, (ast.If, ast.While)))
        is_condition = any(test is target for test in tests)
        return [ast.copy_location(ast.Constant(False), target)] if is_condition else []
    if not isinstance(target, ast.Expr) and not _is_second(tree, target):
        raise ClauseError(f"{clause.path}:{clause.line}: {clause.name} needs a replacement")
    return [ast.copy_location(ast.Pass(), target)]


def _replaced(source: str, clause: Clause, target: Node) -> list[Node]:
    text = ast.get_source_segment(source, target) or ""
    old, new = REPLACEMENTS[clause.name]
    if text.count(old) != 1:
        raise ClauseError(f"{clause.name}: {text.count(old)} times {old!r} in {text!r}")
    made = ast.parse(text.replace(old, new)).body
    if isinstance(target, ast.stmt):
        return list(made)
    assert isinstance(made[0], ast.Expr)
    return [made[0].value]


def _is_second(tree: ast.Module, target: ast.stmt) -> bool:
    """Whether a variable that the statement assigns has a value before."""
    given = getattr(target, "targets", None) or [getattr(target, "target", target)]
    stored = {x.id for y in given for x in ast.walk(y) if isinstance(x, ast.Name) and _stored(x)}
    function = next(
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and node.lineno <= target.lineno <= (node.end_lineno or 0)
    )
    before = {x.arg for x in ast.walk(function.args) if isinstance(x, ast.arg)}
    names = (x for x in ast.walk(function) if isinstance(x, ast.Name) and _stored(x))
    before |= {x.id for x in names if x.lineno < target.lineno}
    return bool(stored) and stored <= before
