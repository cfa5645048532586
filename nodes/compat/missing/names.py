"""The parts of ComfyUI that packs import and Sumi does not have: the one list, with a reason for each.

Remove a name from this list when a module of ``nodes/compat`` defines it. ``tests/nodes/compat/test_missing_parts.py``
checks that no name is in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

OTHER_FAMILY: Final = "it belongs to a model family that Sumi does not run"
NO_SUCH_NODE: Final = "Sumi's node library does not have this node"
NO_VIDEO: Final = "Sumi does not make video"
NO_AUDIO: Final = "Sumi does not make audio"
NO_3D: Final = "Sumi does not make 3D models"
NO_SERVICES: Final = "Sumi calls no paid services"
OWN_LOADER: Final = "Sumi reads model files itself; load them with comfy.sd.load_checkpoint_guess_config"
OWN_MEMORY: Final = "Sumi moves weights between memory and the device itself (nodes/models/residency.py)"
OWN_ENGINE: Final = "Sumi has its own executor; queue a prompt with PromptServer.instance.prompt_queue.put"
OWN_SERVER: Final = "Sumi has its own server; use PromptServer.instance"
OWN_FLAGS: Final = "Sumi has its own command line; read the flags from comfy.cli_args.args"
OWN_RUN: Final = "Sumi prepares the conditions of a run itself; use comfy.samplers.CFGGuider or comfy.sample.sample"
OWN_TEXT: Final = "Sumi's text encoders are built in; use CLIP.tokenize and CLIP.encode_from_tokens"
OWN_NETWORK: Final = "Sumi's networks have another structure inside"
OWN_CONTROL: Final = "Sumi's control networks are built in; load them with comfy.controlnet.load_controlnet"
NO_HOOKS: Final = "Sumi has no hooks that change a model for one condition or for part of a run"
NO_INJECTIONS: Final = "Sumi's networks share their layers, so that packs cannot put modules into them in place"
NO_CONTEXT_WINDOWS: Final = "Sumi has no context windows"
NO_CONVERSION: Final = "Sumi reads diffusers' files without conversion"

MISSING: Final[Mapping[str, tuple[str, str]]] = {
    "comfy.checkpoint_pickle": (OWN_LOADER, "Empty Unpickler load"),
    "comfy.cldm.cldm": (OWN_CONTROL, "ControlNet ControlledUnetModel"),
    "comfy.cldm.dit_embedder": (OTHER_FAMILY, "ControlNetEmbedder"),
    "comfy.cldm.mmdit": (OTHER_FAMILY, "ControlNet"),
    "comfy.cli_args": (OWN_FLAGS, "EnumAction parser"),
    "comfy.clip_vision": (OWN_NETWORK, "convert_to_transformers load_clipvision_from_sd"),
    "comfy.conds": (OTHER_FAMILY, "CONDNoiseShapeVideo"),
    "comfy.controlnet": (
        OWN_CONTROL,
        "ControlLoraOps ControlNetFlux ControlNetSD35 ControlNetWarperResampler QwenFunControlNet "
        "controlnet_config controlnet_load_state_dict convert_mistoline load_controlnet_flux_instantx "
        "load_controlnet_flux_xlabs_mistoline load_controlnet_hunyuandit load_controlnet_mmdit "
        "load_controlnet_qwen_instantx load_controlnet_sd35 load_controlnet_state_dict load_t2i_adapter",
    ),
    "comfy.diffusers_convert": (
        NO_CONVERSION,
        "cat_tensors convert_text_enc_state_dict convert_text_enc_state_dict_v20 convert_unet_state_dict "
        "convert_vae_state_dict reshape_weight_for_sd unet_conversion_map unet_conversion_map_layer "
        "unet_conversion_map_resnet vae_conversion_map vae_conversion_map_attn",
    ),
    "comfy.float": (
        OWN_MEMORY,
        "calc_mantissa manual_stochastic_round_to_float8 stochastic_rounding",
    ),
    "comfy.gligen": (OWN_NETWORK, "GatedCrossAttentionDense GatedSelfAttentionDense"),
    "comfy.hooks": (
        NO_HOOKS,
        "create_hook_model_as_lora create_model_options_clone create_target_dict get_patch_weights_from_model "
        "get_sorted_list_via_attr load_hook_lora_for_models set_default_conds_and_combine",
    ),
    "comfy.latent_formats": (
        OTHER_FAMILY,
        "ACEAudio Cosmos1CV8x8x8 Flux Hunyuan3Dv2 Hunyuan3Dv2_1 Hunyuan3Dv2mini HunyuanImage21 "
        "HunyuanImage21Refiner HunyuanVideo HunyuanVideo15 LTXV Mochi SC_B SC_Prior SD3 SDXL_Playground_2_5 "
        "StableAudio1 Wan21 Wan22",
    ),
    "comfy.ldm.models.autoencoder": (
        OWN_NETWORK,
        "AbstractAutoencoder AutoencoderKL AutoencodingEngine AutoencodingEngineLegacy "
        "DiagonalGaussianRegularizer EmptyRegularizer",
    ),
    "comfy.ldm.modules.attention": (OWN_NETWORK, "BasicTransformerBlockTemporal SpatialVideoTransformer"),
    "comfy.ldm.modules.diffusionmodules.mmdit": (
        OTHER_FAMILY,
        "JointBlock MMDiT Mlp OpenAISignatureMMDITWrapper PatchEmbed RMSNorm SelfAttention SwiGLUFeedForward "
        "TimestepEmbedder VectorEmbedder get_1d_sincos_pos_embed_from_grid_torch get_2d_sincos_pos_embed "
        "get_2d_sincos_pos_embed_torch modulate optimized_attention",
    ),
    "comfy.ldm.modules.diffusionmodules.model": (OWN_NETWORK, "Model make_attn vae_attention"),
    "comfy.ldm.modules.diffusionmodules.openaimodel": (OWN_NETWORK, "VideoResBlock"),
    "comfy.ldm.modules.diffusionmodules.upscaling": (
        OWN_NETWORK,
        "AbstractLowScaleModel ImageConcatWithNoiseAugmentation SimpleImageConcat",
    ),
    "comfy.ldm.modules.diffusionmodules.util": (OWN_NETWORK, "AlphaBlender"),
    "comfy.ldm.modules.ema": (OWN_NETWORK, "LitEma"),
    "comfy.ldm.modules.encoders.noise_aug_modules": (OWN_NETWORK, "CLIPEmbeddingNoiseAugmentation"),
    "comfy.ldm.modules.sub_quadratic_attention": (OWN_NETWORK, "efficient_dot_product_attention"),
    "comfy.ldm.modules.temporal_ae": (NO_VIDEO, "AE3DConv AttnVideoBlock ResBlock VideoBlock VideoDecoder"),
    "comfy.lora": (
        OWN_LOADER,
        "LORA_CLIP_MAP pad_tensor_to_shape prefetch_prepared_value tucker_weight weight_decompose",
    ),
    "comfy.model_base": (
        OTHER_FAMILY,
        "ACEStep AuraFlow Chroma ChromaRadiance CosmosPredict2 CosmosVideo Flux Flux2 GenmoMochi HiDream "
        "Hunyuan3Dv2 Hunyuan3Dv2_1 HunyuanDiT HunyuanImage21 HunyuanVideo HunyuanVideoI2V HunyuanVideoSkyreelsI2V "
        "IP2P LTXV Lotus Lumina2 Omnigen2 PixArt QwenImage SD3 SDXL_instructpix2pix SD_X4Upscaler SV3D_p SV3D_u "
        "SVD_img2vid StableAudio1 StableCascade_B StableCascade_C StableZero123 WAN21 WAN21_Camera WAN21_Vace "
        "WAN22",
    ),
    "comfy.model_detection": (
        OWN_LOADER,
        "calculate_transformer_depth convert_config convert_diffusers_mmdit count_blocks "
        "model_config_from_diffusers_unet model_config_from_unet_config unet_config_from_diffusers_unet",
    ),
    "comfy.model_management": (OWN_MEMORY, "LoadedModel offloaded_memory pin_memory unpin_memory use_more_memory"),
    "comfy.model_patcher": (
        OWN_MEMORY,
        "AutoPatcherEjector LowVramPatch MemoryCounter get_key_weight key_param_name_to_key move_weight_functions "
        "string_to_seed wipe_lowvram_weight",
    ),
    "comfy.model_sampling": (
        OTHER_FAMILY,
        "CONST COSMOS_RFLOW EDM_rflow FLUX_TIME IMG_TO_IMG ModelSamplingCosmosRFlow ModelSamplingDiscreteFlow "
        "ModelSamplingFlux StableCascadeSampling flux_time_shift time_snr_shift",
    ),
    "comfy.ops": (OWN_MEMORY, "cublas_ops fp8_linear fp8_ops mixed_precision_ops pick_operations scaled_fp8_ops"),
    "comfy.patcher_extension": (NO_HOOKS, "TransformerOptionsManager"),
    "comfy.pixel_space_convert": (OTHER_FAMILY, "PixelspaceConversionVAE"),
    "comfy.sample": (OWN_RUN, "broadcast_cond get_additional_models load_additional_models"),
    "comfy.sampler_helpers": (
        NO_HOOKS,
        "estimate_memory get_additional_models_from_model_options get_hooks_from_cond prepare_model_patcher",
    ),
    "comfy.samplers": (
        OWN_RUN,
        "CFGNoisePredictor add_area_dims apply_empty_x_to_equal_area calc_cond_batch_outer "
        "calculate_start_end_timesteps cast_to_load_options create_cond_with_same_area_if_none encode_adm "
        "encode_cond encode_model_conds filter_registered_hooks_on_conds finalize_default_conds get_mask_aabb "
        "get_total_hook_groups_in_conds pre_run_control preprocess_conds_hooks resolve_areas_and_cond_masks "
        "resolve_areas_and_cond_masks_multidim resolve_cond_masks wrap_model",
    ),
    "comfy.sd": (
        OWN_LOADER,
        "TEModel detect_te_model llama_detect load_bypass_lora_for_models load_checkpoint "
        "load_checkpoint_state_dict load_clip_model_patcher load_diffusion_model_state_dict load_model_weights "
        "load_text_encoder_state_dicts load_unet_state_dict model_detection_error_hint t5xxl_detect",
    ),
    "comfy.sd1_clip": (
        OWN_TEXT,
        "expand_directory_list load_embed model_options_long_clip parse_parentheses safe_load_embed_zip",
    ),
    "comfy.sdxl_clip": (
        OTHER_FAMILY,
        "StableCascadeClipGModel StableCascadeClipGTokenizer StableCascadeClipModel StableCascadeTokenizer",
    ),
    "comfy.supported_models": (
        OTHER_FAMILY,
        "ACEStep AuraFlow Chroma ChromaRadiance CosmosI2V CosmosT2I CosmosT2IPredict2 CosmosT2V Flux Flux2 "
        "FluxInpaint FluxSchnell GenmoMochi HiDream Hunyuan3Dv2 Hunyuan3Dv2_1 Hunyuan3Dv2mini HunyuanDiT "
        "HunyuanDiT1 HunyuanImage21 HunyuanVideo HunyuanVideoI2V HunyuanVideoSkyreelsI2V KOALA_1B KOALA_700M LTXV "
        "LotusD Lumina2 Omnigen2 PixArtAlpha PixArtSigma QwenImage SD3 SDXL_instructpix2pix SD_X4Upscaler SSD1B "
        "SV3D_p SV3D_u SVD_img2vid Segmind_Vega StableAudio Stable_Cascade_B Stable_Cascade_C Stable_Zero123 "
        "WAN21_Camera WAN21_FunControl2V WAN21_I2V WAN21_T2V WAN21_Vace WAN22_T2V",
    ),
    "comfy.t2i_adapter.adapter": (
        OWN_CONTROL,
        "Adapter Adapter_light Downsample ResnetBlock ResnetBlock_light StyleAdapter avg_pool_nd conv_nd extractor",
    ),
    "comfy.taesd.taesd": (OWN_NETWORK, "conv"),
    "comfy.utils": (
        OWN_LOADER,
        "MMDIT_MAP_BASIC MMDIT_MAP_BLOCK TRANSFORMER_BLOCKS UNET_MAP_ATTENTIONS UNET_MAP_BASIC UNET_MAP_RESNET "
        "auraflow_to_diffusers clip_text_transformers_convert convert_sd_to flux_to_diffusers "
        "hunyuan_video_to_diffusers mmdit_to_diffusers pixart_to_diffusers transformers_convert unet_to_diffusers "
        "z_image_to_diffusers",
    ),
    "comfy.weight_adapter": (
        NO_CONVERSION,
        "BOFTAdapter GLoRAAdapter LoHaAdapter LoKrAdapter OFTAdapter WeightAdapterTrainBase adapter_maps adapters",
    ),
    "comfy_execution.caching": (
        OWN_ENGINE,
        "BasicCache CacheKeySet CacheKeySetID CacheKeySetInputSignature DependencyAwareCache HierarchicalCache "
        "LRUCache NullCache RAMPressureCache Unhashable to_hashable",
    ),
    "comfy_execution.graph": (OWN_ENGINE, "ExecutionList TopologicalSort"),
    "comfy_extras.nodes_audio": (
        NO_AUDIO,
        "ConditioningStableAudio EmptyLatentAudio LoadAudio PreviewAudio SaveAudio SaveAudioMP3 SaveAudioOpus "
        "VAEDecodeAudio VAEEncodeAudio insert_or_replace_vorbis_comment load load_audio save_audio",
    ),
    "comfy_extras.nodes_cfg": (NO_SUCH_NODE, "CFGNorm CFGZeroStar"),
    "comfy_extras.nodes_cond": (NO_SUCH_NODE, "T5TokenizerOptions"),
    "comfy_extras.nodes_context_windows": (NO_CONTEXT_WINDOWS, "ContextWindowsManualNode WanContextWindowsManualNode"),
    "comfy_extras.nodes_custom_sampler": (NO_SUCH_NODE, "SamplerSEEDS2"),
    "comfy_extras.nodes_dataset": (NO_SUCH_NODE, "LoadImageDataSetFromFolderNode SaveImageDataSetToFolderNode"),
    "comfy_extras.nodes_eps": (NO_SUCH_NODE, "TemporalScoreRescaling"),
    "comfy_extras.nodes_hooks": (
        NO_HOOKS,
        "CombineHooks CombineHooksEight CombineHooksFour ConditioningSetDefaultAndCombine "
        "ConditioningSetProperties ConditioningSetPropertiesAndCombine ConditioningTimestepsRange "
        "CreateHookKeyframe CreateHookKeyframesFromFloats CreateHookKeyframesInterpolated CreateHookLora "
        "CreateHookLoraModelOnly CreateHookModelAsLora CreateHookModelAsLoraModelOnly PairConditioningCombine "
        "PairConditioningSetDefaultAndCombine PairConditioningSetProperties "
        "PairConditioningSetPropertiesAndCombine SetClipHooks SetHookKeyframes SetModelHooksOnCond",
    ),
    "comfy_extras.nodes_images": (NO_SUCH_NODE, "SaveSVGNode"),
    "comfy_extras.nodes_load_3d": (NO_3D, "Load3D Load3DAnimation Preview3D Preview3DAnimation SaveGLB"),
    "comfy_extras.nodes_model_advanced": (
        OTHER_FAMILY,
        "ModelSamplingDiscreteFlow ModelSamplingFlux ModelSamplingSD3 ModelSamplingStableCascade",
    ),
    "comfy_extras.nodes_model_merging_model_specific": (NO_SUCH_NODE, "ModelMergeFlux1"),
    "comfy_extras.nodes_sag": (OWN_NETWORK, "attention_basic_with_sim create_blur_map"),
    "comfy_extras.nodes_stable3d": (
        OTHER_FAMILY,
        "SV3D_Conditioning StableZero123_Conditioning StableZero123_Conditioning_Batched camera_embeddings",
    ),
    "comfy_extras.nodes_tomesd": (
        OWN_NETWORK,
        "bipartite_soft_matching_random2d do_nothing get_functions mps_gather_workaround",
    ),
    "comfy_extras.nodes_video": (NO_VIDEO, "CreateVideo GetVideoComponents LoadVideo SaveVideo SaveWEBM"),
    "comfy_extras.nodes_video_model": (
        NO_VIDEO,
        "ImageOnlyCheckpointSave SVD_img2vid_Conditioning VideoLinearCFGGuidance VideoTriangleCFGGuidance",
    ),
    "comfy_extras.nodes_webcam": (NO_SUCH_NODE, "WebcamCapture"),
    "execution": (
        OWN_ENGINE,
        "CacheSet CacheType DuplicateNodeError ExecutionResult IsChangedCache PromptExecutor PromptQueue "
        "_async_map_node_over_list _map_node_over_list execute format_value full_type_name get_input_data "
        "get_output_data get_output_from_returns map_node_over_list recursive_execute "
        "recursive_output_delete_if_changed recursive_will_execute validate_inputs validate_prompt",
    ),
    "latent_preview": (OWN_NETWORK, "TAEHV"),
    "nodes": (
        OWN_ENGINE,
        "init_builtin_api_nodes init_builtin_custom_nodes init_builtin_extra_nodes init_custom_nodes "
        "init_external_custom_nodes init_extra_nodes init_public_apis load_custom_node",
    ),
    "server": (OWN_ENGINE, "create_cors_middleware create_origin_only_middleware get_remote_address is_loopback"),
}
"""Module → reason and missing names. Any other name is assumed not to exist in ComfyUI's module either."""

FOREIGN: Final[Mapping[str, tuple[str, str]]] = {
    "app": (
        OWN_SERVER,
        "app_settings custom_node_manager database.db database.models frontend_management logger model_manager "
        "subgraph_manager user_manager",
    ),
    "comfy": (OWN_NETWORK, "clip_model context_windows extra_samplers.uni_pc lora_convert sd3_clip"),
    "comfy.audio_encoders": (NO_AUDIO, "audio_encoders wav2vec2 whisper"),
    "comfy.image_encoders": (OTHER_FAMILY, "dino2"),
    "comfy.ldm": (
        OTHER_FAMILY,
        "ace.attention ace.lyric_encoder ace.model aura.mmdit cascade.common cascade.controlnet cascade.stage_a "
        "cascade.stage_b cascade.stage_c cascade.stage_c_coder chroma.layers chroma.model common_dit "
        "cosmos.blocks cosmos.model cosmos.position_embedding cosmos.predict2 cosmos.vae flux.controlnet "
        "flux.layers flux.math flux.model flux.redux genmo.joint_model.asymm_models_joint genmo.vae.model "
        "hidream.model hunyuan_video.model hunyuan_video.vae hydit.controlnet hydit.models lightricks.model "
        "lightricks.symmetric_patchifier lightricks.vae.causal_video_autoencoder lumina.model omnigen.omnigen2 "
        "pixart.blocks pixart.pixartms qwen_image.controlnet qwen_image.model wan.model wan.vae",
    ),
    "comfy.ldm.audio": (NO_AUDIO, "autoencoder dit embedders"),
    "comfy.ldm.hunyuan3d": (NO_3D, "model vae"),
    "comfy.text_encoders": (
        OTHER_FAMILY,
        "ace aura_t5 bert cosmos flux genmo hidream hunyuan_image hunyuan_video hydit llama long_clipl lt lumina2 "
        "omnigen2 pixart_t5 qwen_image qwen_vl sa_t5 sd3_clip spiece_tokenizer t5 wan",
    ),
    "comfy_api_nodes": (NO_SERVICES, "apinode_utils apis apis.client mapper_utils util util.validation_utils"),
    "comfy_extras": (
        OTHER_FAMILY,
        "nodes_ace nodes_aura nodes_camera_trajectory nodes_chroma_radiance nodes_cosmos nodes_edit_model "
        "nodes_flux nodes_hidream nodes_hunyuan nodes_lotus nodes_lt nodes_lumina2 nodes_mochi nodes_model_patch "
        "nodes_photomaker nodes_pixart nodes_qwen nodes_sd3 nodes_slg nodes_stable_cascade nodes_wan",
    ),
}
"""Package → reason and modules. These modules can be imported, and every name in them is a stand-in."""

CORE_CLASSES: Final = (
    "CLIPLoader CLIPSave CLIPSetLastLayer CLIPTextEncode CLIPVisionEncode CLIPVisionLoader CheckpointLoader "
    "CheckpointLoaderSimple ConditioningAverage ConditioningCombine ConditioningConcat ConditioningSetArea "
    "ConditioningSetAreaPercentage ConditioningSetAreaStrength ConditioningSetMask ConditioningSetTimestepRange "
    "ConditioningZeroOut ControlNetApply ControlNetApplyAdvanced ControlNetLoader DiffControlNetLoader DiffusersLoader "
    "DualCLIPLoader EmptyImage EmptyLatentImage GLIGENLoader GLIGENTextBoxApply ImageBatch ImageInvert "
    "ImagePadForOutpaint ImageScale ImageScaleBy InpaintModelConditioning KSampler KSamplerAdvanced LatentBlend "
    "LatentComposite LatentCrop LatentFlip LatentFromBatch LatentRotate LatentUpscale LatentUpscaleBy LoadImage "
    "LoadImageMask LoadImageOutput LoadLatent LoraLoader LoraLoaderModelOnly PreviewImage RepeatLatentBatch SaveImage "
    "SaveLatent SetLatentNoiseMask StyleModelApply StyleModelLoader UNETLoader VAEDecode VAEDecodeTiled VAEEncode "
    "VAEEncodeForInpaint VAEEncodeTiled VAELoader unCLIPCheckpointLoader unCLIPConditioning"
)
"""The node classes of ComfyUI's ``nodes``. One that Sumi's library lacks has a stand-in."""


def reason_for(module: str, name: str) -> str | None:
    """Why Sumi does not have ``name`` of ``module``; None for a name that ComfyUI does not have either."""
    if (reason := foreign_modules().get(module)) is not None:
        return reason
    reason, names = MISSING.get(module, ("", ""))
    return reason if name in names.split() else None


def foreign_modules() -> dict[str, str]:
    """Return the modules in which every name is a stand-in, with the reason."""
    return {
        f"{package}.{module}": reason for package, (reason, modules) in FOREIGN.items() for module in modules.split()
    }


def importable() -> set[str]:
    """Every module that can be imported because of this list, and the packages that contain them."""
    modules = {*MISSING, *foreign_modules()}
    return {".".join(module.split(".")[:depth]) for module in modules for depth in range(1, module.count(".") + 2)}
