"""Real photos with real weights, through the whole daemon."""

from __future__ import annotations

import csv
import shutil


def test_the_63_photos_get_their_names(home, shared, converted_mobilenet):
    """At least 54 right at top-1, and at least 61 as plain torchvision code has them."""
    from tagger.classify.torchvision_compat import import_torchvision

    weights = shared / "models" / "mobilenet_v2.pth"
    home.configure(model={"name": "mobilenet_v2", "weights": str(weights), "download": False})
    with open(shared / "photos" / "imagenet" / "truth.csv", newline="") as file:
        truth = {row["file"]: int(row["class_index"]) for row in csv.DictReader(file)}
    for name in truth:
        shutil.copyfile(shared / "photos" / "imagenet" / name, home.inbox / name)
    shutil.copytree(converted_mobilenet, home.state)
    home.once()
    ours = {name: home_top(home, name) for name in truth}
    plain = plain_torchvision(import_torchvision(), weights, home.inbox, truth)
    right = sum(ours[name] == truth[name] for name in truth)
    same = sum(ours[name] == plain[name] for name in truth)
    print(f"right {right}/63, same as plain torchvision {same}/63")
    assert len(truth) == 63
    assert right >= 54
    assert same >= 61


def home_top(home, name):
    from tagger.cli.show import show_json
    from tagger.config.schema import Config
    from tagger.index.reader import open_reader

    with open_reader(str(home.state)) as reader:
        return show_json(reader, str(home.inbox / name), Config())["top"][0]["index"]


def plain_torchvision(torchvision, weights, folder, names):
    import torch
    from PIL import Image

    model = torchvision.models.mobilenet_v2()
    model.load_state_dict(torch.load(weights, weights_only=True))
    model.eval()
    transform = torchvision.models.MobileNet_V2_Weights.IMAGENET1K_V1.transforms()
    found = {}
    with torch.inference_mode():
        for name in names:
            with Image.open(folder / name) as image:
                crop = transform(image.convert("RGB"))
            found[name] = int(model(crop[None]).argmax())
    return found
