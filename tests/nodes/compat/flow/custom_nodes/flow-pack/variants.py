"""Sockets of several types or any type: a type class and a decorator like those of packs."""


class Variant(str):
    """A type that equals each of the types it names; ``*`` equals all."""

    def __ne__(self, other):
        if "*" in (str.__str__(self), str.__str__(other)):
            return False
        return not set(self.split(",")) <= set(other.split(","))


def variant(kind):
    return Variant(kind) if isinstance(kind, str) else kind


def takes_variants(cls):
    """Make the inputs and outputs of a class variants, and validate links accordingly."""
    declared = cls.INPUT_TYPES

    def INPUT_TYPES():
        found = declared()
        for group in ("required", "optional"):
            for name, spec in found.get(group, {}).items():
                found[group][name] = (variant(spec[0]), *spec[1:])
        return found

    def VALIDATE_INPUTS(input_types):
        found = cls.INPUT_TYPES()
        for name, given in input_types.items():
            spec = found.get("required", {}).get(name) or found.get("optional", {}).get(name)
            if spec is not None and variant(given) != spec[0]:
                return f"{name} is {given}, and should be {spec[0]}"
        return True

    cls.INPUT_TYPES = INPUT_TYPES
    cls.RETURN_TYPES = tuple(map(variant, cls.RETURN_TYPES))
    cls.VALIDATE_INPUTS = VALIDATE_INPUTS
    return cls
