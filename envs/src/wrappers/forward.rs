//! The methods of [`Env`](crate::Env) that a wrapper leaves to the environment inside.

/// Implements the named methods of `Env` by calling them on `self.inner`.
macro_rules! forward {
    ($($method:ident)+) => { $(forward!(@ $method);)+ };
    (@ spec) => {
        fn spec(&self) -> &$crate::env::EnvSpec {
            self.inner.spec()
        }
    };
    (@ observation_space) => {
        fn observation_space(&self) -> &$crate::space::BoxSpace {
            self.inner.observation_space()
        }
    };
    (@ action_space) => {
        fn action_space(&self) -> &$crate::space::BoxSpace {
            self.inner.action_space()
        }
    };
    (@ can_terminate) => {
        fn can_terminate(&self) -> bool {
            self.inner.can_terminate()
        }
    };
    (@ nudge) => {
        fn nudge(&mut self, coordinate: usize, by: f64) -> bool {
            self.inner.nudge(coordinate, by)
        }
    };
    (@ started_over) => {
        fn started_over(&self) -> bool {
            self.inner.started_over()
        }
    };
    (@ info) => {
        fn info(&self) -> &[(&'static str, f64)] {
            self.inner.info()
        }
    };
    (@ model) => {
        fn model(&self) -> Option<&dyn $crate::model::Model> {
            self.inner.model()
        }
    };
    (@ start_box) => {
        fn start_box(&self) -> Option<(Vec<f64>, Vec<f64>)> {
            self.inner.start_box()
        }
    };
    (@ render_fps) => {
        fn render_fps(&self) -> f64 {
            self.inner.render_fps()
        }
    };
    (@ render) => {
        fn render(&mut self) -> Result<$crate::env::Frame, $crate::error::EnvError> {
            self.inner.render()
        }
    };
    (@ work_in) => {
        fn work_in(&mut self, folder: &std::path::Path) -> Result<(), $crate::error::EnvError> {
            self.inner.work_in(folder)
        }
    };
    (@ close) => {
        fn close(&mut self) {
            self.inner.close();
        }
    };
}

pub(super) use forward;
