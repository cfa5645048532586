"""The lesson: its page, its workflows and its pictures belong together."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nodes.builder import Builder
from workflows.make_lesson import CODING, COVER, MADE_FROM, PICTURES, ROOT, WORKFLOWS, pictures_of, source

PAGES = [ROOT / "docs" / name for name in ("lesson.md", "lesson.zh.md")]
DIFFERENCE = {"lesson_6_film": 14.0}
"""The mean difference of 0..255 that a picture may have. Four hundred steps of training enlarge the last bits."""


def document(workflow: Path):
    return json.loads(workflow.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_page_shows_every_picture_in_its_chapter(page):
    text = page.read_text(encoding="utf-8")
    chapters = re.split(r"^## (?=\d+\. )", text, flags=re.M)[1:]
    assert [chapter[:2] for chapter in chapters] == [f"{number}." for number in range(1, 7)]
    for workflow, chapter in zip(WORKFLOWS, chapters, strict=True):
        shown = re.findall(r"\(images/lesson/(\w+)\.webp\)", chapter)
        named = {node["properties"].get("lesson_picture") for node in document(workflow)["nodes"]} - {None}
        assert sorted(shown) == sorted(f"{workflow.stem}_{name}" for name in named)
        assert all((PICTURES / f"{name}.webp").is_file() for name in shown)


def test_both_pages_have_the_same_numbers_and_pictures():
    english, chinese = (page.read_text(encoding="utf-8") for page in PAGES)
    for pattern in (r"!\[[^]]*\]\(([^)]*)\)", r"\d{1,3}(?:,\d{3})+", r"arXiv:[\d.]+", r"`(output/[^`]*)`"):
        assert sorted(re.findall(pattern, english)) == sorted(re.findall(pattern, chinese)), pattern


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_every_title_note_and_group_has_a_chinese_text(workflow):
    shown = document(workflow)
    translation = shown["extra"]["lesson"]["translations"]["zh-CN"]
    assert shown["extra"]["lesson"]["number"] == int(workflow.stem[-1])
    assert set(translation["nodes"]) == {str(node["id"]) for node in shown["nodes"]}
    assert set(translation["groups"]) == {str(group["id"]) for group in shown["groups"]}
    notes = {str(node["id"]) for node in shown["nodes"] if node["type"] == "MarkdownNote"}
    assert notes == {node for node, texts in translation["nodes"].items() if "note" in texts}


def test_no_picture_is_left_over():
    named = {name for page in PAGES for name in re.findall(r"\((images/lesson/[^)]*)\)", page.read_text("utf-8"))}
    assert {f"images/lesson/{path.name}" for path in PICTURES.glob("*.webp")} == named
    assert COVER.is_file()


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_the_pictures_were_made_from_this_workflow_and_these_models(workflow):
    assert json.loads(MADE_FROM.read_text())[workflow.name] == source(workflow), "make lesson makes the pictures again"


@pytest.mark.slow
def test_the_exercises_show_what_their_captions_say(tmp_path):
    """The small CLIP chooses the right one of the captions for each picture from which chapter 6 learns."""
    training = document(WORKFLOWS[5])
    (exercises,) = (node for node in training["nodes"] if node["type"] == "CaptionPictures")
    captions = exercises["widgets_values"][0]
    (samplers, encoders) = (
        [node for node in training["nodes"] if node["type"] == wanted] for wanted in ("KSampler", "CLIPTextEncode")
    )
    prompts = [encoder["widgets_values"][0] for encoder in encoders if encoder["widgets_values"][0]]
    assert captions.splitlines() == prompts
    w = Builder()
    model, clip, vae = w.CheckpointLoaderSimple(ckpt_name=training["nodes"][0]["widgets_values"][0])
    size = w.EmptyLatentImage(width=128, height=128, batch_size=1)
    pictures = []
    for prompt, sampler in zip(prompts, samplers, strict=True):
        seed, _, steps, cfg, name, scheduler, denoise = sampler["widgets_values"]
        sampled = w.KSampler(
            model=model,
            positive=w.CLIPTextEncode(clip=clip, text=prompt),
            negative=w.CLIPTextEncode(clip=clip, text=""),
            latent_image=size,
            seed=seed,
            steps=steps,
            cfg=cfg,
            sampler_name=name,
            scheduler=scheduler,
            denoise=denoise,
        )
        pictures.append(w.VAEDecode(samples=sampled, vae=vae))
    batch = w.ImageBatch(image1=w.ImageBatch(image1=pictures[0], image2=pictures[1]), image2=pictures[2])
    judged = w.ExplainCLIPSimilarity(
        clip=w.CLIPLoader(clip_name="sumi-tiny-clip.safetensors", type="stable_diffusion"),
        clip_vision=w.CLIPVisionLoader(clip_name="sumi-tiny-clip.safetensors"),
        image=batch,
        captions=captions,
    )
    w.PreviewAny(source=judged[2])
    (tmp_path / "judged.json").write_text(json.dumps(w.to_api()), encoding="utf-8")
    command = [sys.executable, ROOT / "main.py", "run", "--cpu", "--json", tmp_path / "judged.json"]
    command += [f"--{name}-directory={tmp_path}" for name in ("output", "temp")]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, encoding="utf-8", check=True)
    events = [json.loads(line) for line in run.stdout.splitlines()]
    shown = [event["ui"] for event in events if event["event"] == "node_output"]
    (best,) = (ui["text"] for ui in shown if "images" not in ui)
    assert best[0].splitlines() == captions.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_the_nodes_still_draw_these_pictures(workflow, tmp_path):
    """The mean over the picture leaves room for the last bits, in which CPUs differ."""
    for name, picture in pictures_of(workflow, tmp_path).items():
        kept = Image.open(PICTURES / f"{name}.webp").convert("RGB")
        assert kept.size == picture.size, f"{name}: make lesson makes the pictures again"
        picture.save(coded := io.BytesIO(), **CODING)  # WebP halves the resolution of colours, which changes noise
        drawn = Image.open(coded).convert("RGB")
        difference = np.abs(np.asarray(kept, np.float32) - np.asarray(drawn, np.float32)).mean()
        assert difference < DIFFERENCE.get(name, 4.0), f"{name}: make lesson makes the pictures again"
