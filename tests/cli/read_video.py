"""Prints the videos of a file (.gif, .mp4) or of a run's event files as one JSON line, read without liprl's code."""

import io
import json
import sys

import numpy as np
from PIL import Image, ImageSequence


def of_gif(bytes):
    image = Image.open(io.BytesIO(bytes))
    assert image.format == "GIF", image.format
    frames, delays = [], []
    for frame in ImageSequence.Iterator(image):
        delays.append(frame.info["duration"])
        frames.append(np.asarray(frame.convert("RGB")))
    return about(np.stack(frames)) | {"delays": delays, "loops": image.info.get("loop"), "bytes": len(bytes)}


def of_mp4(path):
    import imageio_ffmpeg

    reader = imageio_ffmpeg.read_frames(path)
    meta = next(reader)
    width, height = meta["size"]
    frames = np.stack([np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader])
    return about(frames) | {"fps": meta["fps"], "codec": meta["codec"], "pixels": meta["pix_fmt"]}


def about(frames):
    wide = frames.astype(int)
    return {
        "size": [frames.shape[2], frames.shape[1]],
        "frames": len(frames),
        # Colours of the poorest picture.
        "colours": min(len(np.unique(frame.reshape(-1, 3), axis=0)) for frame in frames),
        # Pixels that change from each picture to the next.
        "moving": [int((abs(a - b).max(-1) > 24).sum()) for a, b in zip(wide, wide[1:])],
    }


path = sys.argv[1]
if path.endswith(".mp4"):
    print(json.dumps(of_mp4(path)))
elif path.endswith(".gif"):
    print(json.dumps(of_gif(open(path, "rb").read())))
else:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(path, size_guidance={"images": 0})
    events.Reload()
    images = {tag: events.Images(tag) for tag in events.Tags()["images"]}
    found = {
        tag: [
            {"step": image.step, "told": [image.width, image.height]} | of_gif(image.encoded_image_string)
            for image in images
        ]
        for tag, images in images.items()
    }
    print(json.dumps(found))
