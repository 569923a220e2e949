"""Damaged files for demos_damage.rs: sound ones of each layout, of which each copy has other bytes, an end, attributes or arrays.

python demos_damage.py SOUND FOLDER COUNT, where SOUND is an HDF5 file or a Minari dataset's folder."""

import json
import pathlib
import random
import shutil
import sys

import h5py
import numpy as np

sound, folder, count = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
rng = random.Random(7)


def other_bytes(path, within=None):
    """Up to twenty bytes anywhere, or within the first ones."""
    data = bytearray(path.read_bytes())
    for _ in range(rng.randint(1, 20)):
        at = rng.randrange(min(len(data), within or len(data)))
        data[at] = rng.choice([0, 1, 255, rng.randrange(256)])
    path.write_bytes(data)


def cut(path):
    data = path.read_bytes()
    path.write_bytes(data[:rng.randrange(len(data))])


def all_of(file):
    groups, arrays = [file], []
    file.visititems(lambda _, one: (groups if isinstance(one, h5py.Group) else arrays).append(one))
    return groups, arrays


VALUES = [
    0, -1, 2**63 - 1, np.uint64(2**64 - 1), 1.5, float("nan"), "", "x" * 70_000, "{", "[" * 500, '{"type": "Dict"}',
    '{"type": "Box", "shape": [1e9, -1], "low": [NaN], "high": Infinity}', '{"type": "Discrete", "n": 1e18}',
    np.arange(9.0), np.array(["a", "b"], dtype=object), np.void(b"\0\1"), np.bool_(True), h5py.Empty("f8"),
    np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
]


def other_attributes(path):
    with h5py.File(path, "a") as file:
        groups, arrays = all_of(file)
        for one in rng.sample(groups + arrays, min(3, len(groups + arrays))) + [file]:
            names = list(one.attrs) + ["seed", "total_steps", "total_episodes", "observation_space", "env_spec",
                                       "minari_metadata", "env_args", "num_samples"]
            for name in rng.sample(names, 2):
                one.attrs.pop(name, None)
                if rng.random() < 0.8:
                    one.attrs[name] = rng.choice(VALUES)


def replaced(group, name, data):
    """Another array, group or link in the place of one."""
    shape = data.shape or ()
    rows = shape[0] if shape else 1
    del group[name]
    kind = rng.randrange(16)
    if kind == 0:
        return
    if kind == 1:
        group.create_group(name)
    elif kind == 2:
        group[name] = h5py.SoftLink("/nowhere")
    elif kind == 3:
        group[name] = group.file["/"]
    elif kind == 4:
        group[name] = h5py.ExternalLink("other.hdf5", "/")
    elif kind == 5:
        group.create_dataset(name, shape=(rng.choice([0, 10**6, 3 * 10**7, 10**9, 10**15]), *shape[1:]), dtype="f8",
                             chunks=(1024, *shape[1:]), maxshape=(None, *shape[1:]), compression="gzip")
    elif kind == 6:
        group.create_dataset(name, shape=shape, dtype=h5py.string_dtype())
    elif kind == 7:
        group[name] = np.zeros(shape, [("a", "i4"), ("b", "f2")])
    elif kind == 8:
        group[name] = 5.0
    elif kind == 9:
        group[name] = np.full(shape, np.nan)
    elif kind == 10:
        group[name] = np.zeros((rows + rng.choice([-1, 1, 7]) if rows > 1 else 3, *shape[1:]))
    elif kind == 11:
        group[name] = np.zeros((*shape, 3))
    elif kind == 12:
        group.create_dataset(name, data=np.zeros(shape), chunks=True, scaleoffset=3) if shape else None
    elif kind == 13:
        group[name] = np.full(shape, 200, dtype=rng.choice(["u1", "i8", "u8", "f2", ">f4"]))
    elif kind == 14:
        group[name] = h5py.Empty("f4")
    else:
        group.create_dataset(name, shape=shape, dtype=h5py.vlen_dtype("u1"))


def other_arrays(path):
    with h5py.File(path, "a") as file:
        for _ in range(rng.randint(1, 2)):
            _, arrays = all_of(file)
            if arrays:
                one = rng.choice(arrays)
                replaced(one.parent, one.name.rsplit("/", 1)[-1], one)


def other_metadata(path):
    """The text beside Minari's file, or the file's attributes."""
    beside = path.with_name("metadata.json")
    if not beside.is_file():
        return other_attributes(path)
    if rng.random() < 0.3:
        return other_bytes(beside)
    metadata = json.loads(beside.read_text())
    value = rng.choice([None, 5, "", "{", [], {"type": "Dict"}, '{"type": "Tuple", "subspaces": [3]}', "[" * 500, -1e300,
                        '{"type": "Box", "shape": [2], "low": [0, 0], "high": [1, 1]}', '{"type": "Discrete", "n": 9}'])
    metadata[rng.choice(list(metadata))] = value
    beside.write_text(json.dumps(metadata))


for index in range(count):
    if sound.is_dir():
        place = folder / f"case-{index:03}-v0"
        shutil.copytree(sound, place)
        path = place / "data/main_data.hdf5"
    else:
        path = folder / f"case-{index:03}.hdf5"
        shutil.copy(sound, path)
    [other_bytes, lambda path: other_bytes(path, 2048), cut, other_attributes, other_arrays, other_arrays,
     other_metadata][index % 7](path)
