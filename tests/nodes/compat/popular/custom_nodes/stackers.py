"""A pack like those that collect models, LoRA files and control networks in lists and apply them together."""

import comfy.lora
import comfy.sd
import comfy.utils
import folder_paths
from comfy.controlnet import ControlNet, load_controlnet

import nodes


class Stack:
    """Applies everything, through Sumi's node classes or the functions that they use."""

    CATEGORY, FUNCTION = "popular/stack", "run"
    RETURN_TYPES = ("MODEL", "CLIP", "CONDITIONING", "CONDITIONING")

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "model": ("MODEL",),
                "clip": ("CLIP",),
                "positive": ("CONDITIONING",),
                "negative": ("CONDITIONING",),
                "image": ("IMAGE",),
                "lora": (["None", *folder_paths.get_filename_list("loras")],),
                "control": (["None", *folder_paths.get_filename_list("controlnet")],),
                "by": (["classes", "functions", "layers"],),
            }
        }

    def run(self, model, clip, positive, negative, image, lora, control, by):
        if lora != "None":
            model, clip = getattr(self, f"lora_by_{by}")(model, clip, lora)
        if control != "None":
            apply = self.control_by_classes if by == "classes" else self.control_by_functions
            positive, negative = apply(positive, negative, control, image)
        return model, clip, positive, negative

    def lora_by_classes(self, model, clip, name):
        return nodes.LoraLoader().load_lora(model, clip, name, 0.8, 0.5)

    def lora_by_functions(self, model, clip, name):
        file = comfy.utils.load_torch_file(folder_paths.get_full_path("loras", name), safe_load=True)
        return comfy.sd.load_lora_for_models(model, clip, file, 0.8, 0.5)

    def lora_by_layers(self, model, clip, name):
        file = comfy.utils.load_torch_file(folder_paths.get_full_path("loras", name), safe_load=True)
        keys = comfy.lora.model_lora_keys_unet(model.model, {})
        keys = comfy.lora.model_lora_keys_clip(clip.cond_stage_model, keys)
        loaded = comfy.lora.load_lora(file, keys)
        model, clip = model.clone(), clip.clone()
        known = set(model.add_patches(loaded, 0.8)) | set(clip.add_patches(loaded, 0.5))
        assert known == set(loaded)
        return model, clip

    def control_by_classes(self, positive, negative, name, image):
        (network,) = nodes.ControlNetLoader().load_controlnet(name)
        assert isinstance(network, ControlNet)
        return nodes.ControlNetApplyAdvanced().apply_controlnet(positive, negative, network, image, 0.9, 0.0, 0.8)

    def control_by_functions(self, positive, negative, name, image):
        network = load_controlnet(folder_paths.get_full_path("controlnet", name))
        hint = image.movedim(-1, 1)
        made = []
        for side in (positive, negative):
            entries = []
            for text, options in side:
                control = network.copy().set_cond_hint(hint, 0.9, (0.0, 0.8))
                control.set_previous_controlnet(options.get("control"))
                entries.append([text, {**options, "control": control, "control_apply_to_uncond": False}])
            made.append(entries)
        return made


class UsesTheMissing:
    """Changes a model with a function that needs a missing part and is called by Sumi's KSampler."""

    CATEGORY, FUNCTION, RETURN_TYPES = "popular/stack", "run", ("MODEL",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",)}}

    def run(self, model):
        model = model.clone()
        model.set_model_sampler_post_cfg_function(lambda arguments: arguments["model"].no_such_part(arguments))
        return (model,)


NODE_CLASS_MAPPINGS = {"PopularStack": Stack, "PopularUsesTheMissing": UsesTheMissing}
