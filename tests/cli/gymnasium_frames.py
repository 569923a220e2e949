"""Writes Gymnasium's own pictures of a task, raw, after the reset and after some steps.

Arguments: a JSON list of {id, options, actions (a list for each step), follows}, and the file to write.
`follows` moves Gymnasium's camera, which stands still, along with the first body. `centred` has it look at the
middle of the model's own pose instead of that of the first state.
"""

import json
import os
import sys

os.environ["MUJOCO_GL"] = "egl"

import gymnasium
import mujoco
import numpy as np

with open(sys.argv[2], "wb") as out:
    for task in json.loads(sys.argv[1]):
        env = gymnasium.make(task["id"], render_mode="rgb_array", **task["options"])
        env.reset(seed=3)
        env.render()
        model, data = env.unwrapped.model, env.unwrapped.data
        camera = env.unwrapped.mujoco_renderer.viewer.cam
        if task["centred"]:
            pose = mujoco.MjData(model)
            mujoco.mj_forward(model, pose)
            camera.lookat[:] = np.median(pose.geom_xpos, axis=0)
        out.write(np.ascontiguousarray(env.render()).tobytes())
        start = data.xpos[1].copy()
        for action in task["actions"]:
            env.step(np.array(action))
        # Bodies lag behind the state by one simulation step.
        mujoco.mj_forward(model, data)
        if task["follows"]:
            camera.lookat[:2] += (data.xpos[1] - start)[:2]
        out.write(np.ascontiguousarray(env.render()).tobytes())
        env.close()
