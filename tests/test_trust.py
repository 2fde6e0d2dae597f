"""Nothing in distal unpickles what came from storage or from a pool."""

import ast
from collections.abc import Iterator
from pathlib import Path

import distal

UNPICKLERS = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "_pickle"}
RUN_CODE = {
    *("eval", "exec", "torch.load", "torch.jit.load", "np.load", "numpy.load", "pd.read_pickle", "pandas.read_pickle"),
    *("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "yaml.unsafe_load_all"),
}
ALLOWED = {
    (
        "features/torchscript.py",
        "torch.jit.load",
    ),  # a program by its nature, which its user names: docs/run-directory.md
}


def calls_and_imports() -> Iterator[tuple[str, str, ast.AST]]:
    root = Path(distal.__file__).parent
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            name = str(path.relative_to(root))
            if isinstance(node, ast.Call):
                yield name, ast.unparse(node.func), node
            elif isinstance(node, ast.Import | ast.ImportFrom):
                modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                for module in modules:
                    yield name, f"import {module}", node


def is_plain(call: ast.AST) -> bool:
    """Say whether a call reads arrays alone: numpy's refusal of objects, torch's of everything but weights."""
    given = {k.arg: getattr(k.value, "value", None) for k in getattr(call, "keywords", [])}
    return given.get("allow_pickle") is False or given.get("weights_only") is True


def test_no_module_imports_an_unpickler() -> None:
    found = [(name, text) for name, text, _ in calls_and_imports() if text.startswith("import ")]
    assert len(found) > 500
    assert [each for each in found if each[1].removeprefix("import ").partition(".")[0] in UNPICKLERS] == []


def test_no_call_reads_what_can_run_code_but_the_extractor_that_its_user_names() -> None:
    found = {(name, text) for name, text, call in calls_and_imports() if text in RUN_CODE and not is_plain(call)}
    assert found == ALLOWED


def test_whatever_is_called_load_alone_is_of_safetensors() -> None:
    root = Path(distal.__file__).parent
    for name in {name for name, text, _ in calls_and_imports() if text == "load"}:
        assert "from safetensors." in (root / name).read_text(), name
