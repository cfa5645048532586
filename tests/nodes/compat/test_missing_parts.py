"""Missing parts of ComfyUI: packs can import them, and their first use raises an error that names them."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from nodes.compat import comfyui_version, extra_nodes, provided
from nodes.compat.missing import names, table
from nodes.compat.missing.errors import MissingPartError, parts_named
from nodes.compat.missing.stand_ins import is_stand_in
from nodes.model_folders import folders
from server.routes import status

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "compatibility.md"

IMPORTED = """
comfy.clip_vision: Output clip_preprocess load
comfy.context_windows: IndexListContextHandler
comfy.controlnet: ControlBase ControlLora ControlNet T2IAdapter load_controlnet
comfy.diffusers_convert: convert_unet_state_dict
comfy.gligen: Gligen
comfy.hooks: EnumHookScope HookGroup HookKeyframe HookKeyframeGroup TransformerOptionsHook set_hooks_for_conditioning
comfy.k_diffusion.sampling: DPMSolver PIDStepSizeController
comfy.k_diffusion.utils: FolderOfImages
comfy.ldm.modules.attention: wrap_attn
comfy.ldm.modules.diffusionmodules.model: ResnetBlock
comfy.ldm.modules.diffusionmodules.openaimodel: UNetModel
comfy.ldm.modules.diffusionmodules.util: timestep_embedding zero_module
comfy.ldm.modules.distributions.distributions: DiagonalGaussianDistribution
comfy.lora: load_lora model_lora_keys_unet
comfy.model_base: SD21UNCLIP SVD_img2vid model_sampling
comfy.model_detection: detect_unet_config
comfy.patcher_extension: PatcherInjection
comfy.sample: np
comfy.sampler_helpers: cleanup_additional_models get_additional_models get_models_from_cond prepare_sampling
comfy.samplers: can_concat_cond cond_cat get_area_and_mult
comfy.sd: load_lora_for_models
comfy.sd1_clip: SD1ClipModel
comfy.sdxl_clip: SDXLClipG SDXLClipModel SDXLRefinerClipModel
comfy.supported_models: SDXL
comfy.supported_models_base: BASE
comfy.taesd.taesd: TAESD
comfy.text_encoders.t5: T5
comfy_extras.chainner_models: model_loading
app.user_manager: UserManager
comfy.checkpoint_pickle: load
comfy.cldm.control_types: UNION_CONTROLNET_TYPES
comfy.cli_args: args parser
comfy.float: stochastic_rounding
comfy.options: enable_args_parsing
comfy.rmsnorm: RMSNorm rms_norm
comfy_extras.nodes_align_your_steps: AlignYourStepsScheduler NOISE_LEVELS loglinear_interp
comfy_extras.nodes_hypernetwork: HypernetworkLoader load_hypernetwork_patch
protocol: BinaryEventTypes
comfy_extras.nodes_clip_sdxl: CLIPTextEncodeSDXL
comfy_extras.nodes_custom_sampler: Noise_EmptyNoise Noise_RandomNoise SamplerCustom
comfy_extras.nodes_flux: FluxGuidance
comfy_extras.nodes_gits: GITSScheduler NOISE_LEVELS loglinear_interp
comfy_extras.nodes_lt: LTXVAddGuide
comfy_extras.nodes_mask: MaskComposite composite
comfy_extras.nodes_model_advanced: LCM
comfy_extras.nodes_model_merging: ModelMergeBlocks
comfy_extras.nodes_perpneg: Guider_PerpNeg
comfy_extras.nodes_sag: gaussian_blur_2d
comfy_extras.nodes_stable3d: camera_embeddings
comfy_extras.nodes_upscale_model: ImageUpscaleWithModel
execution: PromptExecutor validate_prompt
latent_preview: Latent2RGBPreviewer TAESD TAESDPreviewerImpl
nodes: ControlNetApply ControlNetApplyAdvanced ControlNetLoader ImageScale InpaintModelConditioning LoraLoader
""".strip()
"""Names that popular packs import when they start."""


@pytest.fixture(scope="module", autouse=True)
def _installed(tmp_path_factory: pytest.TempPathFactory) -> None:
    import server

    provided.install(folders(tmp_path_factory.mktemp("base")), server)


@pytest.mark.parametrize("line", IMPORTED.splitlines(), ids=lambda line: line.partition(":")[0])
def test_what_popular_packs_import_is_there(line: str) -> None:
    module, _, wanted = line.partition(": ")
    for name in wanted.split():
        assert getattr(importlib.import_module(module), name) is not None


def test_modules_that_the_server_imports_are_its_attributes() -> None:
    import uuid

    from aiohttp import web

    import server

    assert (server.web, server.uuid) == (web, uuid)


def test_every_missing_name_can_be_imported_and_says_what_is_missing() -> None:
    for module, (reason, missing) in names.MISSING.items():
        for name in missing.split():
            found = getattr(importlib.import_module(module), name)
            assert is_stand_in(found), f"{module}.{name} is there, so that names.py should not list it"
            with pytest.raises(MissingPartError, match=rf"{name}.*{reason[:20]}"):
                found()


def test_every_foreign_module_can_be_imported() -> None:
    for module, reason in names.foreign_modules().items():
        found = importlib.import_module(module)
        with pytest.raises(MissingPartError, match=f"{module}.Anything.*{reason}"):
            found.Anything()
        with pytest.raises(MissingPartError, match=f"{module}.anything"):
            found.anything(1)


def test_a_missing_class_is_good_for_checks_and_as_a_base() -> None:
    from execution import PromptExecutor

    class Derived(PromptExecutor):
        kept = PromptExecutor.execute

        def own(self) -> int:
            return 1

    assert not isinstance(object(), PromptExecutor) and issubclass(Derived, PromptExecutor)
    assert Derived | None is not None
    with pytest.raises(MissingPartError, match=r"execution\.PromptExecutor"):
        Derived()
    with pytest.raises(MissingPartError, match=r"execution\.PromptExecutor\.execute"):
        Derived.kept()


def test_names_that_comfyui_does_not_have_either_are_import_errors() -> None:
    import comfy.samplers

    assert not hasattr(comfy.samplers, "no_such_thing")
    with pytest.raises(ImportError, match="no_such_thing"):
        from comfy.samplers import no_such_thing  # noqa: F401
    with pytest.raises(ModuleNotFoundError, match=r"comfy\.no_such_module"):
        importlib.import_module("comfy.no_such_module")


def test_modules_can_be_looked_for_without_import() -> None:
    from importlib.util import find_spec

    assert find_spec("comfy.samplers") is not None and find_spec("comfy.ldm.flux.layers") is not None
    assert find_spec("comfy.no_such_module") is None and find_spec("comfy_extras.no_such_module") is None


def test_methods_of_core_nodes_are_called_in_every_way() -> None:
    from comfy_extras.nodes_align_your_steps import AlignYourStepsScheduler

    import nodes

    (sigmas,) = AlignYourStepsScheduler().get_sigmas("SD1", 5, 1.0)
    for other in (
        AlignYourStepsScheduler.get_sigmas(AlignYourStepsScheduler(), "SD1", 5, denoise=1.0),
        AlignYourStepsScheduler.execute("SD1", 5, 1.0),
        getattr(AlignYourStepsScheduler(), AlignYourStepsScheduler.FUNCTION)(model_type="SD1", steps=5, denoise=1.0),
    ):
        assert (other[0] == sigmas).all() and other.result == tuple(other)
    assert nodes.ImageScale.upscale_methods[0] == "nearest-exact" and "center" in nodes.ImageScale.crop_methods


def test_every_module_of_core_nodes_gives_its_classes() -> None:
    for module, classes in extra_nodes.listed().items():
        for name, node in classes.items():
            found = getattr(importlib.import_module(f"comfy_extras.{module}"), name)
            assert is_stand_in(found) or found.node_type.name == node


def test_errors_about_sumis_objects_name_the_part() -> None:
    import comfy.model_management
    import comfy.utils
    from comfy.samplers import KSampler

    with pytest.raises(MissingPartError, match=r"'no_such' of comfy\.utils"), parts_named():
        comfy.utils.no_such()
    with pytest.raises(MissingPartError, match=r"'no_such' of comfy\.model_management"), parts_named():
        comfy.model_management.no_such()
    with pytest.raises(MissingPartError, match=r"'no_such' of comfy\.samplers\.KSampler"), parts_named():
        KSampler.no_such()
    with pytest.raises(MissingPartError, match=r"comfy\.nowhere"), parts_named():
        import comfy.nowhere
    with pytest.raises(AttributeError, match="no_such") as error, parts_named():
        "text".no_such()  # type: ignore[attr-defined]
    assert not isinstance(error.value, MissingPartError)


def test_a_node_that_nobody_has_is_named() -> None:
    import nodes

    assert "NoSuchNode" not in nodes.NODE_CLASS_MAPPINGS and nodes.NODE_CLASS_MAPPINGS.get("NoSuchNode") is None
    with pytest.raises(KeyError, match="has the node 'NoSuchNode'; install the pack"):
        nodes.NODE_CLASS_MAPPINGS["NoSuchNode"]


def test_the_version_is_the_one_that_the_server_tells() -> None:
    assert comfyui_version.__version__ == status.COMFYUI_VERSION


def test_the_list_in_the_documentation_is_current() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert document == table.with_table(document), "run: python -m nodes.compat.missing.table docs/compatibility.md"


def test_a_name_that_a_made_module_lacks_is_named() -> None:
    execution = importlib.import_module("execution")
    with pytest.raises(MissingPartError, match="'foo' of execution"), parts_named():
        _ = execution.foo


def test_names_beside_the_nodes_are_real() -> None:
    import torch
    from comfy.cldm.control_types import UNION_CONTROLNET_TYPES
    from comfy.rmsnorm import rms_norm
    from comfy_extras import nodes_align_your_steps, nodes_gits

    levels = nodes_align_your_steps.NOISE_LEVELS["SD1"]
    assert list(nodes_align_your_steps.loglinear_interp(levels, 11)) == pytest.approx(levels)
    assert nodes_align_your_steps.loglinear_interp([4.0, 1.0], 3) == pytest.approx([4.0, 2.0, 1.0])
    (sigmas,) = nodes_gits.GITSScheduler().get_sigmas(1.2, 10, 1.0)
    assert sigmas[:-1].tolist() == pytest.approx(nodes_gits.NOISE_LEVELS[1.2][8][:-1])
    assert (UNION_CONTROLNET_TYPES["openpose"], UNION_CONTROLNET_TYPES["repaint"]) == (0, 7)
    x = torch.tensor([[3.0, 4.0]])
    expected = x / (12.5 + 1e-6) ** 0.5
    torch.testing.assert_close(rms_norm(x), expected)
    torch.testing.assert_close(rms_norm(x, torch.tensor([2.0, 2.0])), 2 * expected)
