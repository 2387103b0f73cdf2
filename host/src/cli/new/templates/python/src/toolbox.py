"""Lets a language model work on a task with functions of this agent.

    @tool
    def send_email(to: Annotated[str, "The address of the recipient"], body: str) -> str:
        \"\"\"Sends one email.\"\"\"
        ...

    answer = work(task, "You write emails.", [send_email])

A tool is a function with typed parameters. Its name, its docstring and the types make the JSON schema that the model
gets. The arguments that the model sends are checked before the function is called. A tool takes as long as the
reviewers of its calls take; if they reject a call, the model reads their reason as the result of the tool.
"""

import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from componentize_py_types import Err
from wit_world.imports import log, model
from wit_world.imports.types import Refusal_Rejected, Refusal_Unresolved

TEXT_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}


@dataclass(frozen=True)
class Tool:
    """A function that a model may call."""

    name: str
    description: str
    # The JSON schema of the arguments.
    parameters: dict[str, Any]
    types: dict[str, Any]
    optional: frozenset[str]
    function: Callable[..., str]

    def offered(self) -> model.Tool:
        """The tool for a question to a model."""
        return model.Tool(self.name, self.description, json.dumps(self.parameters))

    def use(self, arguments: str) -> str:
        """Calls the function with arguments of the model, a JSON object. Returns what the model is told."""
        try:
            given = json.loads(arguments)
            if not isinstance(given, dict):
                raise ValueError("the arguments are no object")
            for name in given.keys() - self.types.keys():
                raise ValueError(f"there is no argument `{name}`")
            for name, kind in self.types.items():
                if name in given:
                    check(given[name], kind, f"the argument `{name}`")
                elif name not in self.optional:
                    raise ValueError(f"the argument `{name}` is missing")
            return self.function(**given)
        except Err as refused:
            why = told(refused.value)
        except ValueError as wrong:
            why = str(wrong)
        log.log(log.Level.INFO, f"{self.name}: {why}")
        return f"not done: {why}"


def tool(function: Callable[..., str]) -> Tool:
    """Makes a tool of a function. The types of its parameters are `str`, `int`, `float`, `bool`, `Literal` of texts,
    `list` of these, and `| None`; `Annotated[..., "text"]` describes one. A `ValueError` and a refusal of the host are
    told to the model."""
    types = get_type_hints(function, include_extras=True)
    types.pop("return", None)
    defaults = inspect.signature(function).parameters
    optional = frozenset(name for name in types if defaults[name].default is not inspect.Parameter.empty)
    parameters = {
        "type": "object",
        "properties": {name: schema(kind) for name, kind in types.items()},
        "required": [name for name in types if name not in optional],
        "additionalProperties": False,
    }
    return Tool(function.__name__, inspect.getdoc(function) or "", parameters, types, optional, function)


def work(
    task: str, instructions: str, tools: Sequence[Tool], *, model_name: str | None = None, turns_max: int = 20
) -> str:
    """Asks the model `model_name` of the host, by default its `default`, until it calls no more tools. Returns its last
    text. Raises `Err` with a text if the model gives no answer, or none without a tool after `turns_max` turns."""
    offered = [tool.offered() for tool in tools]
    messages: list[model.Message] = [model.Message_System(instructions), model.Message_User(task)]
    for _ in range(turns_max):
        turn = ask(model.Request(model_name, messages, offered, None, None, None)).turn
        if not turn.calls:
            return turn.text
        messages.append(model.Message_Assistant(turn))
        for call in turn.calls:
            found = next((tool for tool in tools if tool.name == call.name), None)
            result = found.use(call.arguments) if found else f"there is no tool `{call.name}`"
            messages.append(model.Message_ToolResult(model.ToolResult(call.id, result)))
    raise Err(f"no result after {turns_max} answers of the model")


def ask(request: model.Request) -> model.Answer:
    """The answer of a model. Raises `Err` with a text if there is none."""
    try:
        return model.complete(request)
    except Err as problem:
        value = problem.value.value
        raise Err(f"no answer of the model: {getattr(value, 'reason', value)}") from None


def told(refusal: object) -> str:
    """The text for a model, or for a person, about a call that the host did not perform."""
    match refusal:
        case Refusal_Rejected(guidance):
            return f"a reviewer rejected the call: {guidance}"
        case Refusal_Unresolved(reason):
            return f"the outcome is unknown, so do not call again: {reason}"
        case _:
            return f"{refusal}"


def schema(kind: Any) -> dict[str, Any]:
    """The JSON schema of a type. Raises `TypeError` for a type that a tool cannot have."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return {**schema(inner[0]), "description": inner[1]}
    if origin in (Union, UnionType) and len(inner) == 2 and inner[1] is NoneType:
        return {"anyOf": [schema(inner[0]), {"type": "null"}]}
    if origin is Literal and all(isinstance(value, str) for value in inner):
        return {"type": "string", "enum": list(inner)}
    if origin is list:
        return {"type": "array", "items": schema(inner[0])}
    if kind in TEXT_TYPES:
        return {"type": TEXT_TYPES[kind]}
    raise TypeError(f"a parameter of a tool cannot have the type {kind}")


def check(value: object, kind: Any, what: str) -> None:
    """Raises `ValueError` unless a value of JSON has this type."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return check(value, inner[0], what)
    if origin in (Union, UnionType):
        return None if value is None else check(value, inner[0], what)
    if origin is Literal:
        if value not in inner:
            raise ValueError(f"{what} is none of {', '.join(inner)}")
    elif origin is list:
        if not isinstance(value, list):
            raise ValueError(f"{what} is no list")
        for item in value:
            check(item, inner[0], f"an item of {what}")
    # To Python a truth value is a number, and to JSON a whole number is a number.
    elif not isinstance(value, (int, float) if kind is float else kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{what} is no {TEXT_TYPES[kind]}")
