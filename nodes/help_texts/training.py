"""Help texts of the nodes of training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "NewStableDiffusion": {
        "seed": "Start of the random numbers; the same seed gives the same weights.",
        "channels": "Channels of the U-Net's first level. SD1 has 320.",
        "channel_multipliers": "Factor on the channels for each level of the U-Net, separated by commas.",
        "text_width": "Channels of the text encoder. SD1 has 768.",
        "text_layers": "Layers of the text encoder. SD1 has 12.",
        "vae_channels": "Channels of each level of the VAE, separated by commas.",
    },
    "TrainVAE": {
        "vae": "The VAE to start from. It does not change; the trained copy is a file.",
        "width": "Width in pixels that every picture is cropped to.",
        "height": "Height in pixels that every picture is cropped to.",
        "steps": "Number of training steps. A stopped run continues, also with a new number.",
        "batch_size": "Number of pictures in each training step.",
        "seed": "Start of the random numbers; the same seed and data give the same model.",
        "crop": "Side in pixels of the random window that a step trains on; 0 uses whole pictures.",
        "decoder_only": "Whether only the decoder learns, so that all existing latents stay valid.",
        "normalise_latents": "Whether every latent channel gets mean 0 and variance 1 at the end.",
        "kl_weight": "Weight of the loss that keeps latents near a normal distribution.",
    },
    "TrainDiffusionModel": {
        "model": "The model to start from. It does not change; the trained copy is a file.",
        "clip": "The text encoder that encodes the captions, and is trained if chosen.",
        "vae": "The VAE of the dataset; it decodes the samples and is saved in the checkpoint.",
        "steps": "Number of training steps. A stopped run continues, also with a new number.",
        "batch_size": "Number of pictures in each training step.",
        "seed": "Start of the random numbers; the same seed and data give the same model.",
        "schedule": "How the learning rate changes: constant, or falling to 0 along a cosine.",
        "loss_weighting": (
            "How much each noise level counts: min-SNR suits fine-tuning, clean latent small models from scratch."
        ),
        "caption_dropout": "Share of captions that are left empty; guidance needs some.",
        "trained": "The part of the model that learns.",
        "average_decay": "How slowly the saved weights follow the trained ones; 0 saves the last ones.",
        "sample_prompts": "Prompts for sample pictures during training, one per line.",
        "sample_minutes": "Minutes between two sheets of sample pictures.",
        "sample_steps": "Also draws sample pictures after the first step and every so many steps; 0: never.",
    },
    "TrainTextualInversion": {
        "model": "The model that the word is learned for. It does not change.",
        "clip": "The text encoder that gets the new word.",
        "steps": "Number of training steps. A stopped run continues, also with a new number.",
        "batch_size": "Number of pictures in each training step.",
        "seed": "Start of the random numbers; the same seed and data give the same model.",
        "initial_text": "The word whose vectors the learning starts from.",
        "vectors": "Number of vectors for the new word. More hold more and take room in the prompt.",
        "templates": "Captions for the training pictures, one per line; * stands for the word.",
    },
    "NewCLIP": {
        "seed": "Start of the random numbers; the same seed gives the same weights.",
        "text_width": "Channels of the text encoder. CLIP ViT-L has 768.",
        "text_layers": "Layers of the text encoder. CLIP ViT-L has 12.",
        "image_width": "Channels of the image encoder. CLIP ViT-L has 1024.",
        "image_layers": "Layers of the image encoder. CLIP ViT-L has 24.",
        "image_mlp": "Width of the image encoder's feed-forward layers. CLIP ViT-L has 4096.",
        "patch_size": "Side in pixels of the patches that the image encoder cuts a picture into.",
        "image_size": "Side in pixels to which pictures are resized: a multiple of patch_size.",
        "projection": "Width of the vectors in which pictures and texts are compared.",
    },
    "TrainCLIP": {
        "clip": "The text encoder to train. It does not change; the trained copy is a file.",
        "clip_vision": "The image encoder to train. It does not change; the trained copy is a file.",
        "steps": "Number of training steps. A stopped run continues, also with a new number.",
        "batch_size": "Number of pictures in each training step. More make the task harder and the result better.",
        "seed": "Start of the random numbers; the same seed and data give the same model.",
        "average_decay": "How slowly the saved weights follow the trained ones; 0 saves the last ones.",
        "zero_unused_tokens": (
            "Whether tokens that no caption contains get the vector 0. For training from random weights."
        ),
    },
    "TrainingFilm": {
        "loss": "The losses of the run, from the node that trains.",
    },
    "LossGraphNode": {
        "loss": "The losses of a training run.",
    },
    "LoadCaptionedPictures": {
        "folder": "A folder in input/, with pictures and their captions.",
    },
    "CaptionPictures": {
        "images": "The pictures of the dataset, as a batch.",
        "captions": "A caption for each picture, one per line, or one line for all.",
    },
    "EncodeDataset": {
        "width": "Width in pixels that every picture is cropped to.",
        "height": "Height in pixels that every picture is cropped to.",
    },
    "LoadImageTextSetFromFolderNode": {
        "width": "Width in pixels that the pictures are resized to; -1 keeps it.",
        "height": "Height in pixels that the pictures are resized to; -1 keeps it.",
    },
    "TrainLoraNode": {
        "model": "The model that the LoRA is trained for. It does not change.",
        "steps": "Number of training steps.",
        "positive": "The encoded captions, one for each latent or one for all.",
        "batch_size": "Number of latents in each training step.",
        "seed": "Start of the random numbers; the same seed and data give the same model.",
        "latents": "The encoded training pictures.",
        "training_dtype": "Precision of the computation. bf16 is faster and needs less memory.",
        "lora_dtype": "Precision in which the LoRA's weights are kept.",
        "algorithm": (
            "The form of the change: LoRA is a product of two matrices; LoHa, LoKr and OFT hold other forms."
        ),
        "existing_lora": "A LoRA to continue training; [None] starts a new one.",
    },
    "DistilLCMLoRA": {
        "model": "The model whose guided pictures the LoRA learns to draw. It does not change.",
        "clip": "The text encoder that encodes the captions.",
        "dataset": "The encoded pictures with their captions.",
        "steps": "Number of training steps. A stopped run continues, also with a new number.",
        "batch_size": "Number of latents in each training step.",
        "schedule": "How the learning rate changes: constant, or falling to 0 along a cosine.",
        "guidance": "The scale of guidance (cfg) that the LoRA's pictures have. It cannot be changed later.",
        "negative": "The negative prompt of the guidance.",
        "average_decay": "How slowly the saved weights follow the trained ones; 0 saves the last ones.",
        "seed": "Start of the random numbers; the same seed and data give the same model.",
    },
    "SaveLoRANode": {
        "steps": "Number of training steps, for the file's name.",
        "prefix": "Start of the file's name in the output folder; a number follows. A slash makes folders.",
    },
    "LoraModelLoader": {
        "model": "The diffusion model that gets the file's changes.",
    },
}
