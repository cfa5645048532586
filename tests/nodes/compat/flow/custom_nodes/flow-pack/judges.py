"""Nodes that validate their inputs themselves, each in another way."""

import torch

EITHER = ("IMAGE,FLOAT", {"min": 0.0, "max": 1.0})


class Judge:
    CATEGORY = "flow"
    FUNCTION = "give"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"input1": EITHER, "input2": EITHER}}

    def give(self, input1, input2):
        pictures = [i if isinstance(i, torch.Tensor) else torch.full((1, 8, 8, 3), i) for i in (input1, input2)]
        return (sum(pictures),)


class JudgesValues(Judge):
    """Validates literals; linked inputs are None."""

    @classmethod
    def VALIDATE_INPUTS(cls, input1, input2):
        for value in (input1, input2):
            if value is not None and not isinstance(value, (torch.Tensor, float)):
                return f"{value!r} is of type {type(value).__name__}"
        return True


class JudgesTypes(Judge):
    """Validates the types of links, and literals by name."""

    @classmethod
    def VALIDATE_INPUTS(cls, input_types, input1, input2):
        for name, kind in input_types.items():
            if kind not in ("IMAGE", "FLOAT"):
                return f"{name} is {kind}"
        for value in (input1, input2):
            if value is not None and not isinstance(value, float):
                return f"{value!r} is of type {type(value).__name__}"
        return True


class JudgesSome(Judge):
    """Validates some values, and leaves types to the program."""

    @classmethod
    def VALIDATE_INPUTS(cls):
        return True


class JudgesOnlyTypes(Judge):
    @classmethod
    def VALIDATE_INPUTS(cls, input_types):
        for name, kind in input_types.items():
            if kind not in ("IMAGE", "FLOAT"):
                return f"{name} is {kind}"
        return True


class JudgesAll(Judge):
    """With ``**kwargs``, the program checks nothing, not even bounds."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {name: ("FLOAT", {"min": 0.0, "max": 1.0}) for name in ("input1", "input2")}}

    @classmethod
    def VALIDATE_INPUTS(cls, **kwargs):
        return "no sevens here" if kwargs["input2"] == 7.0 else True


class JudgesSlowly(Judge):
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("FLOAT", {"default": 0.0}), "limit": ("FLOAT", {"default": 10.0})}}

    @classmethod
    async def VALIDATE_INPUTS(cls, value, limit):
        import asyncio

        await asyncio.sleep(0.05)
        return True if value <= limit else f"{value} is more than {limit}"

    def give(self, value, limit):
        return (torch.full((1, 8, 8, 3), value / limit),)


class JudgeBreaks(Judge):
    @classmethod
    def VALIDATE_INPUTS(cls, input1, input2):
        raise KeyError("no judgement")


NODES = {
    found.__name__: found
    for found in (
        *(Judge, JudgesValues, JudgesTypes, JudgesSome, JudgesOnlyTypes, JudgesAll, JudgesSlowly, JudgeBreaks),
    )
}
