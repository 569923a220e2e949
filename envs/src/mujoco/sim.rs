//! The simulator: every call of the `mujoco-rs` crate is in this file, but for those that draw
//! (`renderer/worker.rs`).

use std::cmp::Ordering;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

use mujoco_rs::logging::set_log_handler;
use mujoco_rs::prelude::{MjData, MjLogMessage, MjModel, MjtLogLevel, MjtObjBase, MjtState, MjtWarning};

use crate::error::EnvError;
use crate::given::Given;
use crate::space::BoxSpace;

/// The part of MuJoCo's state that the next step depends on: all of it.
pub(super) const STATE: u32 = MjtState::mjSTATE_INTEGRATION as u32;

/// A model and its data. Environments of the same file share one model.
pub(super) struct Sim {
    data: MjData<Arc<MjModel>>,
    frame_skip: u32,
    /// True if MuJoCo reset itself during the last step.
    started_over: bool,
}

/// Least numbers of positions, velocities, actuators, bodies and sites that a model needs for a
/// task.
pub(super) type Needs = [usize; 5];

impl Sim {
    /// Loads the model `xml_file`: a path if it begins with `.`, `/` or `~`, else one of
    /// Gymnasium's.
    pub(super) fn load(given: &Given, xml_file: &str, frame_skip: u32, needs: Needs) -> Result<Self, EnvError> {
        let data = model_path(xml_file)
            .and_then(|path| shared_model(&path))
            .and_then(|model| MjData::try_new(model).map_err(|e| e.to_string()))
            .map_err(|problem| EnvError::Simulator { id: given.spec.id.clone(), problem })?;
        let sim = Self { data, frame_skip, started_over: false };
        let names = ["positions", "velocities", "actuators", "bodies", "sites"];
        for ((name, found), needed) in names.iter().zip(sim.sizes()).zip(needs) {
            if found < needed {
                let problem = format!("the model has {found} {name}, this task needs at least {needed}");
                return Err(given.bad("xml_file", problem));
            }
        }
        sim.check_actuators().map_err(|problem| given.bad("xml_file", problem))?;
        Ok(sim)
    }

    /// Refuses an actuator whose control cannot be chosen: the agent could do nothing.
    fn check_actuators(&self) -> Result<(), String> {
        let model = self.data.model();
        let flat = |bounds: &[f64; 2]| bounds[0].partial_cmp(&bounds[1]) != Some(Ordering::Less);
        let Some(index) = model.actuator_ctrlrange().iter().position(flat) else { return Ok(()) };
        let name = model.id_to_name(MjtObjBase::mjOBJ_ACTUATOR, index).unwrap_or("without a name");
        let [low, high] = model.actuator_ctrlrange()[index];
        Err(format!(
            "actuator {index} ({name}) has the control range [{low}, {high}], in which there is nothing to choose; \
             give it a `ctrlrange` in the model"
        ))
    }

    /// Returns to the model's initial state, sets these positions and velocities, and computes all
    /// that is derived from them.
    pub(super) fn set(&mut self, qpos: &[f64], qvel: &[f64]) {
        self.data.reset();
        self.started_over = false;
        self.data.qpos_mut().copy_from_slice(qpos);
        self.data.qvel_mut().copy_from_slice(qvel);
        self.data.forward();
    }

    /// Moves one of (positions, velocities); the next step computes all that is derived from them.
    /// Returns false if the index is out of range.
    pub(super) fn nudge(&mut self, index: usize, by: f64) -> bool {
        let positions = self.data.qpos().len();
        let coordinate = match index.checked_sub(positions) {
            None => self.data.qpos_mut().get_mut(index),
            Some(velocity) => self.data.qvel_mut().get_mut(velocity),
        };
        coordinate.map(|x| *x += by).is_some()
    }

    /// Advances by one control step of `frame_skip` simulation steps, then computes the contact
    /// forces on the bodies.
    pub(super) fn advance(&mut self, ctrl: &[f64]) {
        self.data.ctrl_mut().copy_from_slice(ctrl);
        for _ in 0..self.frame_skip {
            self.data.step();
        }
        self.started_over = false;
        for warning in [MjtWarning::mjWARN_BADQPOS, MjtWarning::mjWARN_BADQVEL, MjtWarning::mjWARN_BADQACC] {
            self.started_over |= std::mem::take(&mut self.data.warning_mut()[warning as usize].number) > 0;
        }
        self.data.rne_post_constraint();
    }

    /// True if MuJoCo reset itself during the last `advance`, because the numbers of an unstable
    /// simulation had become too large.
    pub(super) fn started_over(&self) -> bool {
        self.started_over
    }

    /// Seconds per control step.
    pub(super) fn dt(&self) -> f64 {
        self.timestep() * f64::from(self.frame_skip)
    }

    /// Seconds per simulation step.
    pub(super) fn timestep(&self) -> f64 {
        self.data.model().opt().timestep
    }

    /// Positions before any noise; the velocities are zero.
    pub(super) fn initial_qpos(&self) -> &[f64] {
        self.data.model().qpos0()
    }

    /// The actuators' ranges, rounded to f32 as Gymnasium's action spaces are.
    pub(super) fn action_space(&self) -> BoxSpace {
        let range = self.data.model().actuator_ctrlrange();
        let side = |i: usize| range.iter().map(|bounds| bounds[i]).collect();
        BoxSpace { low: side(0), high: side(1) }.rounded()
    }

    /// Index of a body given by name or index; `None` if the model does not have it.
    pub(super) fn body(&self, name: &str) -> Option<usize> {
        let by_index = || name.parse().ok().filter(|index| *index < self.xpos().len());
        self.data.model().name_to_id(MjtObjBase::mjOBJ_BODY, name).or_else(by_index)
    }

    /// Indices of bodies that a task looks up by name.
    pub(super) fn named_bodies<const N: usize>(&self, given: &Given, names: [&str; N]) -> Result<[usize; N], EnvError> {
        let mut indices = [0; N];
        for (index, name) in indices.iter_mut().zip(names) {
            *index = self.body(name).ok_or_else(|| given.bad("xml_file", format!("the model has no body `{name}`")))?;
        }
        Ok(indices)
    }

    /// Numbers of positions, velocities, actuators, bodies and sites.
    fn sizes(&self) -> Needs {
        let sites = self.data.site_xpos().len();
        [self.qpos().len(), self.qvel().len(), self.ctrl().len(), self.xpos().len(), sites]
    }

    /// Generalised positions, metres and radians.
    pub(super) fn qpos(&self) -> &[f64] {
        self.data.qpos()
    }

    /// Generalised velocities, metres and radians per second.
    pub(super) fn qvel(&self) -> &[f64] {
        self.data.qvel()
    }

    /// Controls last applied.
    pub(super) fn ctrl(&self) -> &[f64] {
        self.data.ctrl()
    }

    /// Positions of the bodies' frames, as the last simulation step began.
    pub(super) fn xpos(&self) -> &[[f64; 3]] {
        self.data.xpos()
    }

    /// Positions of the bodies' centres of mass, as the last simulation step began.
    pub(super) fn xipos(&self) -> &[[f64; 3]] {
        self.data.xipos()
    }

    /// Position of a site.
    pub(super) fn site(&self, index: usize) -> [f64; 3] {
        self.data.site_xpos()[index]
    }

    /// The bodies' masses, kilograms.
    pub(super) fn masses(&self) -> &[f64] {
        self.data.model().body_mass()
    }

    /// Inertias and masses of the bodies, world first.
    pub(super) fn cinert(&self) -> &[[f64; 10]] {
        self.data.cinert()
    }

    /// Velocities of the bodies, world first.
    pub(super) fn cvel(&self) -> &[[f64; 6]] {
        self.data.cvel()
    }

    /// External forces and torques on the bodies, world first.
    pub(super) fn cfrc_ext(&self) -> &[[f64; 6]] {
        self.data.cfrc_ext()
    }

    /// Actuator forces in joint space.
    pub(super) fn qfrc_actuator(&self) -> &[f64] {
        self.data.qfrc_actuator()
    }

    /// Constraint forces in joint space.
    pub(super) fn qfrc_constraint(&self) -> &[f64] {
        self.data.qfrc_constraint()
    }

    /// Lengths and velocities of the tendons.
    pub(super) fn tendons(&self) -> (&[f64], &[f64]) {
        (self.data.ten_length(), self.data.ten_velocity())
    }

    /// The model in MuJoCo's binary form.
    pub(super) fn binary_model(&self) -> Result<Vec<u8>, String> {
        let model = self.data.model();
        let mut bytes = vec![0; model.size()];
        model.save_to_buffer(&mut bytes).map_err(|e| e.to_string())?;
        Ok(bytes)
    }

    /// The state that the next step depends on.
    pub(super) fn state(&self) -> Box<[f64]> {
        self.data.state(STATE)
    }

    /// Takes back a state; the next step computes the quantities derived from it.
    pub(super) fn set_state(&mut self, state: &[f64]) -> Result<(), String> {
        self.data.set_state(state, STATE).map_err(|e| e.to_string())
    }
}

/// Path of a model: one of Gymnasium's in the assets folder, or the user's own.
fn model_path(xml_file: &str) -> Result<PathBuf, String> {
    let path = if xml_file.starts_with(['.', '/']) {
        PathBuf::from(xml_file)
    } else if let Some(below) = xml_file.strip_prefix("~/") {
        std::env::home_dir().unwrap_or_default().join(below)
    } else {
        let given = std::env::var_os("LIPRL_MUJOCO_ASSETS").map(PathBuf::from);
        let baked = option_env!("LIPRL_MUJOCO_ASSETS").map(PathBuf::from);
        let beside = || baked.filter(|baked| baked.is_dir()).or_else(assets_of_python).unwrap_or_default();
        given.unwrap_or_else(beside).join(xml_file)
    };
    if path.is_file() {
        return Ok(path);
    }
    Err(format!(
        "there is no model file {}; \
         run `cargo xtask setup`, or set LIPRL_MUJOCO_ASSETS to the folder of Gymnasium's models",
        path.display()
    ))
}

/// Models of the `gymnasium` package in the Python that this program was installed into.
fn assets_of_python() -> Option<PathBuf> {
    let prefix = std::env::current_exe().ok()?.parent()?.parent()?.join("lib");
    let pythons = std::fs::read_dir(prefix).ok()?.filter_map(Result::ok);
    let packages = pythons.flat_map(|python| ["site-packages", "dist-packages"].map(|name| python.path().join(name)));
    packages.map(|packages| packages.join("gymnasium/envs/mujoco/assets")).find(|assets| assets.is_dir())
}

/// Models in use, so that a thousand environments of one task hold one model.
static MODELS: Mutex<Vec<(PathBuf, Weak<MjModel>)>> = Mutex::new(Vec::new());

fn shared_model(path: &Path) -> Result<Arc<MjModel>, String> {
    let mut models = MODELS.lock().unwrap_or_else(PoisonError::into_inner);
    listen();
    models.retain(|(_, model)| model.strong_count() > 0);
    if let Some(model) = models.iter().find(|(known, _)| known == path).and_then(|(_, model)| model.upgrade()) {
        return Ok(model);
    }
    let model = MjModel::from_xml(path).map_err(|e| format!("MuJoCo cannot load {}: {e}", path.display()))?;
    let model = Arc::new(model);
    models.push((path.to_owned(), Arc::downgrade(&model)));
    Ok(model)
}

/// Has MuJoCo's warnings reported. The first use of MuJoCo in a process calls this.
pub(super) fn listen() {
    static LOG: Once = Once::new();
    // SAFETY: no MuJoCo code runs yet, because every use begins with a model, and this is the
    // first.
    LOG.call_once(|| unsafe { set_log_handler(report) });
}

/// Prints MuJoCo's warnings, which it would otherwise also append to a file in the current folder.
/// Notices of deprecated attributes are left out: Gymnasium's models use some, and every load would
/// print them. So are those of an unstable simulation, which can come with every step:
/// [`Sim::started_over`] tells its user.
fn report(message: &MjLogMessage) {
    let grave = matches!(message.level(), MjtLogLevel::mjLOG_WARNING | MjtLogLevel::mjLOG_ERROR);
    let told_otherwise = ["is deprecated", "simulation is unstable"];
    if grave && !told_otherwise.iter().any(|text| message.subject().contains(text)) {
        // A closed stderr must not stop the simulation.
        let _ = writeln!(std::io::stderr(), "MuJoCo: {}", message.subject());
    }
}
