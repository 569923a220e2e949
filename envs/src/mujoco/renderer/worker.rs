//! The process that draws: MuJoCo's renderer without a window, through EGL.
//!
//! It is a process of its own because MuJoCo ends its process when OpenGL fails.

use std::error::Error;
use std::io::{self, Read, Write};
use std::sync::Arc;

use mujoco_rs::prelude::{MjData, MjModel, MjvCamera};
use mujoco_rs::renderer::MjRenderer;

use super::messages::{SIZE, Setup, answer, receive, to_numbers};
use crate::mujoco::camera::Camera;
use crate::mujoco::sim::{STATE, listen};

/// Pixels of a shadow map's side, which is MuJoCo's 4096 otherwise. Without a graphics card a picture
/// then takes half the time, and looks alike.
const SHADOWS: i32 = 1024;

/// Draws until the input ends.
///
/// # Errors
/// If the task on the other side is gone. A picture that cannot be drawn is an answer to it.
pub fn serve_render_worker(mut input: impl Read, mut output: impl Write) -> io::Result<()> {
    let Some(setup) = receive(&mut input)? else { return Ok(()) };
    let mut painter = match Setup::decode(&setup).map_err(|e| e.to_string()).and_then(|setup| Painter::new(&setup)) {
        Ok(painter) => painter,
        Err(problem) => return answer(&mut output, Err(&problem)),
    };
    answer(&mut output, Ok(&[]))?;
    while let Some(state) = receive(&mut input)? {
        answer(&mut output, painter.draw(&to_numbers(&state)).as_deref().map_err(String::as_str))?;
    }
    Ok(())
}

struct Painter {
    data: MjData<Arc<MjModel>>,
    renderer: MjRenderer,
    camera: MjvCamera,
    /// The point looked at in the initial pose.
    lookat: [f64; 3],
    /// The body that the camera follows, and its place in the initial pose.
    follows: Option<(usize, [f64; 3])>,
}

impl Painter {
    fn new(setup: &Setup<'_>) -> Result<Self, String> {
        listen();
        let mut model = MjModel::from_buffer(setup.model).map_err(|e| e.to_string())?;
        let [width, height] = SIZE;
        let visual = model.vis_mut();
        (visual.global.offwidth, visual.global.offheight) = (width as i32, height as i32);
        visual.quality.shadowsize = visual.quality.shadowsize.min(SHADOWS);
        let mut data = MjData::try_new(Arc::new(model)).map_err(|e| e.to_string())?;
        data.forward();
        let camera = camera(&setup.camera, &data);
        let follows = setup.camera.follows.and_then(|body| Some((body, *data.xpos().get(body)?)));
        let renderer = MjRenderer::builder().width(width).height(height).build(data.model());
        let renderer = renderer.map_err(|error| {
            format!(
                "OpenGL cannot draw without a window ({}); install EGL and a driver for it: \
                 apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri",
                causes(&error)
            )
        })?;
        Ok(Self { data, renderer, lookat: camera.lookat, camera, follows })
    }

    fn draw(&mut self, state: &[f64]) -> Result<Vec<u8>, String> {
        self.data.set_state(state, STATE).map_err(|e| e.to_string())?;
        self.data.forward();
        self.camera.lookat = self.lookat;
        if let Some((body, first)) = self.follows {
            let now = self.data.xpos()[body];
            (0..2).for_each(|i| self.camera.lookat[i] += now[i] - first[i]);
        }
        self.renderer.set_camera(self.camera.clone());
        let drawn = self.renderer.sync_data(&mut self.data).and_then(|()| self.renderer.render());
        drawn.map_err(|error| causes(&error))?;
        Ok(self.renderer.rgb_flat().unwrap_or_default().to_vec())
    }
}

/// Gymnasium's free camera: MuJoCo's own, then what the task changes.
fn camera(view: &Camera, data: &MjData<Arc<MjModel>>) -> MjvCamera {
    let mut camera = MjvCamera::default();
    camera.free();
    camera.lookat = view.lookat.unwrap_or_else(|| [0, 1, 2].map(|i| median(data.geom_xpos().iter().map(|x| x[i]))));
    camera.distance = view.distance.unwrap_or(data.model().stat().extent);
    camera.elevation = view.elevation.unwrap_or(camera.elevation);
    camera
}

/// The middle value; of an even number, the mean of the two in the middle.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        count => 0.5 * (values[(count - 1) / 2] + values[count / 2]),
    }
}

/// An error with all its causes in one line.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_those_of_numpy() {
        assert_eq!(median([3.0, -1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
    }
}
