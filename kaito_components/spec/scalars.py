"""Unquoted YAML words -> values, as kubectl reads them. Called by composing.

kubectl reads YAML 1.1: `yes` and `off` are booleans and `0644` is octal, where YAML 1.2 has text and a decimal number.
A file must mean here what it means there. Source: the resolver of sigs.k8s.io/yaml (a go-yaml v2).
"""

import math
import re

Scalar = str | int | float | bool | None

_NULL = {"", "~", "null", "Null", "NULL"}
_TRUE = {word for stem in ("y", "yes", "true", "on") for word in (stem, stem.capitalize(), stem.upper())}
_FALSE = {word for stem in ("n", "no", "false", "off") for word in (stem, stem.capitalize(), stem.upper())}
_INTEGER = re.compile(r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[1-9][0-9_]*|0)", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_NOT_JSON = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_BITS_64 = 2**64
_TAGS: dict[str, tuple[type, ...]] = {
    "tag:yaml.org,2002:int": (int,),
    "tag:yaml.org,2002:float": (int, float),
    "tag:yaml.org,2002:bool": (bool,),
    "tag:yaml.org,2002:null": (type(None),),
}


def from_word(word: str) -> Scalar:
    """The value of an unquoted word.

    Raises:
        ValueError: a number that JSON, and so Kubernetes, does not have.
    """
    if word in _NULL:
        return None
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    if _NOT_JSON.fullmatch(word):
        raise ValueError(f"{word} is not a number that Kubernetes knows")
    if _INTEGER.fullmatch(word) and (number := _integer(word.replace("_", ""))) is not None:
        return number
    if _FLOAT.fullmatch(word):
        real = float(word.replace("_", ""))
        if math.isinf(real):
            raise ValueError("is a number too large for Kubernetes")
        return real
    return word


def _integer(digits: str) -> int | None:
    """None where it needs more than 64 bits; it is a floating-point number then, as in kubectl."""
    if len(digits) > 70:
        return None
    octal = re.fullmatch(r"([-+]?)0([0-7]+)", digits)
    number = int(f"{octal[1]}0o{octal[2]}" if octal else digits, 0)
    return number if -_BITS_64 // 2 <= number < _BITS_64 else None


def tagged(word: str, tag: str) -> Scalar:
    """The value of a word with an explicit tag such as `!!str`.

    Raises:
        ValueError: the tag is not one of JSON's types, or the word is not of that type.
    """
    if tag in ("!", "tag:yaml.org,2002:str"):
        return word
    value = from_word(word)
    kinds = _TAGS.get(tag)
    if kinds is None:
        raise ValueError(f"has the tag {tag}, which Kubernetes does not know")
    if type(value) not in kinds:
        raise ValueError(f"is not what its tag {tag} says")
    return value
