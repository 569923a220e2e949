//! Errors that prevent the start of a sweep.

use std::path::PathBuf;

use liprl_logbook::LogbookError;

use crate::config::ConfigError;

/// An error found before the first run of a sweep.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A file cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The sweep file or its base is invalid.
    #[error(transparent)]
    Config(Box<ConfigError>),
    /// One variant's config is invalid.
    #[error("{error}\nThis is in variant `{variant}`.")]
    InVariant {
        /// The variant.
        variant: String,
        /// The problem.
        error: Box<ConfigError>,
    },
    /// One variant's environment or agent cannot be built.
    #[error("variant `{variant}` cannot be built: {reason}")]
    Build {
        /// The variant.
        variant: String,
        /// The reason.
        reason: String,
    },
    /// Two variants have one config or one name.
    #[error("{}", collision(*.same_config, .one, .other))]
    Collision {
        /// True if they have one config, false if only one name.
        same_config: bool,
        /// The first one's name.
        one: String,
        /// The second one's name.
        other: String,
    },
    /// `seed` is set on the command line.
    #[error("`seed` cannot be varied with --set; list seeds under `seeds:` in the sweep file")]
    Seed,
    /// The sweep folder has runs of the same name that were begun with other configs.
    #[error(
        "{}: the sweep file was changed since runs were begun there:\n  {}\nA run keeps its config (only `steps` may grow). Choose another \
         `experiment` or --out for the changed sweep, or move those run folders away", .folder.display(), .differences.join("\n  ")
    )]
    Changed {
        /// The sweep's folder.
        folder: PathBuf,
        /// One line for each changed run.
        differences: Vec<String>,
    },
    /// The search was told results of another kind.
    #[error(
        "the search was told results to {was} and is now to {now}; choose another `experiment` or --out for the \
         changed search"
    )]
    OtherObjective {
        /// The goal and score of the results.
        was: String,
        /// Those of the sweep file.
        now: String,
    },
    /// A run folder or the lock file cannot be used.
    #[error(transparent)]
    Logbook(#[from] LogbookError),
}

impl From<ConfigError> for PlanError {
    fn from(error: ConfigError) -> Self {
        Self::Config(Box::new(error))
    }
}

fn collision(same_config: bool, one: &str, other: &str) -> String {
    if same_config && one == other {
        format!("the variant `{one}` comes out twice: a value is listed twice")
    } else if same_config {
        format!(
            "the variants `{one}` and `{other}` come out as one config; take a value out, or leave one out with `when: \
             [{{if: …, skip: true}}]`"
        )
    } else {
        format!("two different variants would be called `{one}`; give them names with `variants:`")
    }
}
