"""Writes logs of other programs into the folder of the first argument, and prints TensorBoard's own reading of those
with a restart."""
import json
import os
import sys

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

root = sys.argv[1]
RETURN, EVAL = 'rollout/ep_rew_mean', 'eval/mean_reward'


def events(folder, name, rows, session=None):
    os.makedirs(os.path.join(root, folder), exist_ok=True)
    with open(os.path.join(root, folder, 'events.out.tfevents.' + name), 'wb') as file:
        writer = RecordWriter(file)

        def put(**fields):
            writer.write(event_pb2.Event(wall_time=1000.0, **fields).SerializeToString())

        put(file_version='brain.Event:2')
        if session is not None:
            put(step=session, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START))
        for step, tag, value in rows:
            put(step=step, summary=summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=tag, simple_value=value)]))


def archive(folder, save, **arrays):
    os.makedirs(os.path.join(root, folder), exist_ok=True)
    save(os.path.join(root, folder, 'evaluations.npz'), **arrays)


# A run that was killed at 1000 and went on from 450; a second restart within its second file's steps.
events('restart/seed-0', '1000.h', [(s, RETURN, float(s)) for s in range(0, 1001, 100)])
events('restart/seed-0', '2000.h', [(s, RETURN, -float(s)) for s in range(450, 851, 100)], session=450)
events('restart/seed-0', '3000.h', [(s, RETURN, 0.5) for s in range(650, 951, 100)], session=650)
# One run in two files, of which the first ended before the first evaluation.
events('parts/seed-0', '1000.h', [(s, RETURN, float(s)) for s in (0, 250)])
events('parts/seed-0', '2000.h', [(s, RETURN, float(s)) for s in (500, 1000)] + [(s, EVAL, 9.0) for s in (500, 1000)])
# Folders and files that have no return.
for seed in (0, 1):
    events(f'beside/seed-{seed}', '1000.h', [(s, RETURN, float(s)) for s in (0, 500)])
events('beside/seed-0/1700000000.12', '1001.h', [(0, 'hparam/loss', 1.0)])
os.makedirs(os.path.join(root, 'beside/seed-2'))
open(os.path.join(root, 'beside/seed-2/events.out.tfevents.1000.h'), 'w').close()
# rl-zoo3.
steps, results = np.array([100, 200, 300]), np.array([[1.0, 3.0], [2.0, 6.0], [5.0, 5.0]])
archive('zoo/seed-0', np.savez, timesteps=steps, results=results, ep_lengths=np.full((3, 2), 7))
archive('zoo/seed-1', np.savez_compressed, timesteps=steps.astype(np.int32), results=np.asfortranarray(results.astype(np.float32)))
archive('ragged/seed-0', np.savez, timesteps=steps, results=np.array([[1.0], [2.0, 3.0], [4.0]], dtype=object))

accumulator = EventAccumulator(os.path.join(root, 'restart/seed-0'))
accumulator.Reload()
print(json.dumps([[event.step, event.value] for event in accumulator.Scalars(RETURN)]))
