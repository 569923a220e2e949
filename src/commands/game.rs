//! `liprl certify --game`.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use liprl_control::games::{ImitationGame, QuadraticGame, SmallGain, TabularMdp};
use liprl_control::{ControlError, dense};
use liprl_envs::systems::Matrix;
use liprl_logbook::{limits, read_text};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::terminal::{dynamic_table, print, rounded_down, rounded_up, six_digits};
use crate::usage::Usage;

/// A game's file.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum GameFile {
    /// Quadratic losses.
    Quadratic {
        /// Coordinates of each player.
        players: Vec<usize>,
        /// ∂(∇ᵢfᵢ)/∂x.
        jacobian: Vec<Vec<f64>>,
        /// Weights of the players, in place of the best.
        weights: Option<Vec<f64>>,
    },
    /// Adversarial imitation on a finite MDP.
    Imitation {
        gamma: f64,
        start: Vec<f64>,
        /// P(s' | s, a) by s, a, s'.
        transitions: Vec<Vec<Vec<f64>>>,
        /// ψ by s, a.
        features: Vec<Vec<Vec<f64>>>,
        expert: Vec<f64>,
        ridge: f64,
        entropy: f64,
    },
}

/// The certificate of a file's game.
struct GameReport {
    small_gain: SmallGain,
    weights: Vec<f64>,
    margin: f64,
    /// Exact rate of contraction: in the norm of the weights, or near the equilibrium.
    rate: f64,
    /// Names of the players.
    names: Vec<String>,
    /// Region on which it holds.
    holds: &'static str,
    /// Further lines, and further entries of the JSON.
    more: Vec<(&'static str, f64, &'static str)>,
    json: Value,
}

/// Certifies the convergence of play in the game of this file.
pub(super) fn certify(file: &Path, as_json: bool) -> anyhow::Result<ExitCode> {
    let text = read_text(file, limits::CONFIG)?;
    let name = file.display();
    let game = serde_saphyr::from_str(&text).map_err(|error| Usage(format!("{name}: {error}")))?;
    let report = report(game).map_err(|error| Usage(format!("{name}: {error}")))?;
    print(&if as_json { format!("{:#}\n", report.to_json()) } else { report.to_text(&name.to_string())? })
}

fn report(game: GameFile) -> Result<GameReport, ControlError> {
    match game {
        GameFile::Quadratic { players, jacobian, weights } => {
            let rows: Vec<&[f64]> = jacobian.iter().map(Vec::as_slice).collect();
            let jacobian = Matrix::from_rows(&rows).ok_or_else(|| ControlError::BadInput {
                name: "jacobian",
                problem: "must have rows of equally many numbers".into(),
            })?;
            let game = QuadraticGame::new(&players, dense(&jacobian))?;
            let small_gain = game.small_gain()?;
            let (weights, margin) = match weights {
                Some(weights)
                    if weights.len() != players.len() || weights.iter().any(|w| !(*w > 0.0 && w.is_finite())) =>
                {
                    return Err(ControlError::BadInput {
                        name: "weights",
                        problem: format!("must be one positive number for each of {} players", players.len()),
                    });
                }
                Some(weights) => {
                    let margin = small_gain.margin(&weights)?;
                    (weights, margin)
                }
                None => small_gain.best_weights()?,
            };
            let (rate, steps) = (game.rate(&weights)?, game.step_sizes(&weights, margin)?);
            let more = vec![
                ("beta", steps.lipschitz, "Lipschitz constant of the losses' gradients in this norm"),
                ("step_proven", steps.proven, "simultaneous descent converges with every smaller step: 2α*/β²"),
                ("step_exact", steps.exact, "and in truth with every step below this"),
            ];
            let names = (1..=players.len()).map(|i| format!("player {i}")).collect();
            Ok(GameReport { small_gain, weights, margin, rate, names, holds: "everywhere", more, json: json!({}) })
        }
        GameFile::Imitation { gamma, start, transitions, features, expert, ridge, entropy } => {
            let (states, actions) = (start.len(), transitions.first().map_or(0, Vec::len));
            let transitions = flat("transitions", transitions, states, actions)?;
            let features = flat("features", features, states, actions)?;
            let mdp = TabularMdp::new(transitions, start, gamma)?;
            let game = ImitationGame::new(&mdp, &features, &expert, ridge, entropy)?;
            let (weights, margin) = game.small_gain.best_weights()?;
            let policy: Vec<&[f64]> = game.policy.chunks_exact(actions).collect();
            let json = json!({ "reward": game.reward, "policy": policy, "features": game.features });
            Ok(GameReport {
                small_gain: game.small_gain,
                weights,
                margin,
                rate: game.rate,
                names: vec!["reward".into(), "policy".into()],
                holds: "near the equilibrium, in the metric of natural gradients",
                more: Vec::new(),
                json,
            })
        }
    }
}

/// The numbers of a table by state and action, whose rows are of one length.
fn flat(
    name: &'static str,
    table: Vec<Vec<Vec<f64>>>,
    states: usize,
    actions: usize,
) -> Result<Vec<f64>, ControlError> {
    let width = table.first().and_then(|rows| rows.first()).map_or(0, Vec::len);
    let fits = |rows: &Vec<Vec<f64>>| rows.len() == actions && rows.iter().all(|row| row.len() == width);
    if table.len() != states || !table.iter().all(fits) {
        let problem = format!("must have {states} states, each with {actions} actions of equally many numbers");
        return Err(ControlError::BadInput { name, problem });
    }
    Ok(table.into_iter().flatten().flatten().collect())
}

impl GameReport {
    fn to_text(&self, name: &str) -> anyhow::Result<String> {
        let mut text = format!("game of {name}\n\n");
        let n = self.small_gain.players();
        let header = ["", "curvature", "weight"].map(str::to_owned).into_iter();
        let header = header.chain(self.names.iter().map(|name| format!("influence of {name}")));
        let row = |i: usize| {
            let own = [self.names[i].clone(), six_digits(self.small_gain.curvature()[i]), six_digits(self.weights[i])];
            let others = (0..n).map(|j| if i == j { "-".into() } else { six_digits(self.small_gain.influence(i, j)) });
            own.into_iter().chain(others).collect()
        };
        text += &dynamic_table(header.collect(), 1..n + 3, (0..n).map(row).collect());
        let (margin, rate) = (self.margin, rounded_down(self.rate));
        match margin > 0.0 {
            true => writeln!(text, "\nplay contracts at a rate of at least {}, {}", rounded_down(margin), self.holds)?,
            false => {
                let negative = rounded_up(-margin);
                writeln!(text, "\nno certificate: the margin is −{negative}; the influences outweigh the curvatures")?;
            }
        }
        writeln!(text, "exact rate of the flow in this norm: {rate}")?;
        if let Some((low, high)) = self.small_gain.band(0.0) {
            let (low, high) = (rounded_up(low), rounded_down(high));
            writeln!(
                text,
                "certified with every weight of {} from {low} to {high}, that of {} being 1",
                self.names[1], self.names[0]
            )?;
        }
        for (name, value, meaning) in &self.more {
            writeln!(text, "{name} {}: {meaning}", six_digits(*value))?;
        }
        Ok(text)
    }

    fn to_json(&self) -> Value {
        let n = self.small_gain.players();
        let influence: Vec<Vec<f64>> = (0..n)
            .map(|i| (0..n).map(|j| if i == j { 0.0 } else { self.small_gain.influence(i, j) }).collect())
            .collect();
        let mut all = json!({
            "players": self.names,
            "curvature": self.small_gain.curvature(),
            "influence": influence,
            "weights": self.weights,
            "margin": self.margin,
            "certified": self.margin > 0.0,
            "holds": self.holds,
            "rate": self.rate,
            "band": self.small_gain.band(0.0),
        });
        for (name, value, _) in &self.more {
            all[*name] = json!(value);
        }
        if let Value::Object(more) = &self.json {
            more.iter().for_each(|(name, value)| all[name] = value.clone());
        }
        all
    }
}
