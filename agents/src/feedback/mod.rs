//! Feedback policies from demonstrations under a Lipschitz constraint (Al Makdah, Krishnan & Pasqualetti 2022, arXiv 2103.16629):
//!
//!   min over π of (1/N) Σ ‖π(xᵢ) − uᵢ‖²  subject to  Lip₂(π) ≤ α.
//!
//! The page docs/feedback.md tells the methods apart, docs/derivations/lipschitz_layers.md has the proofs.
//!
//! | file | what |
//! | --- | --- |
//! | `points` | pairs in f64, and the error that two of them force |
//! | `oracle` | the optimal value over all α-Lipschitz functions, exactly |
//! | `table` | an α-Lipschitz function through given values |
//! | `solved` | the policies `kirszbraun` and `graph`, without a network |
//! | `steepness` | Jacobian norms of a perceptron and their gradient, by hand |
//! | `constraint` | multipliers and where the constraint is looked at |
//! | `model` | free numbers, plain weights, Adam |
//! | `network` | gradient steps of the policies with a network |
//! | `expert`, `asking` | who can be asked, and the episodes they show |
//! | `teacher` | DAgger and DART |
//! | `learner`, `measure` | the agent, and what it measures |
//!
//! Differs from the paper and its authors' code (theirs is of a 2020 paper on the same problem): constants in the Euclidean norm and the
//! environment's units; Adam and stochastic multipliers instead of an integrated flow, or no network at all; a Lipschitz readout instead of
//! the nearest vertex's value.
//!
//! | metric | meaning |
//! | --- | --- |
//! | `train/mse` | mean over the batch of ‖π(x) − u‖², the environment's units |
//! | `train/loss` | the same and the constraint's part |
//! | `train/constraint_loss` | mean λ g, or c max(0, g)² |
//! | `train/violated_share`, `train/violation_max` | share of the points looked at with g > 0, and the largest g |
//! | `train/grad_norm` | norm of the gradient, in the free numbers |
//! | `train/queried_rows` | rows an expert was asked for |
//! | `lipschitz/alpha` | α asked for |
//! | `lipschitz/certified` | a proven constant of the policy, environment's units; what bounds have to use |
//! | `lipschitz/sampled` | largest ‖J‖₂ (for tables, slope) found anywhere below: no bound |
//! | `lipschitz/policy_jacobian/<where>/<statistic>` | ‖J‖₂ at `demonstrations`, `between` (fresh points between neighbours), `visited` |
//! | `lipschitz/violation/<where>` | largest ‖J‖₂ − α there, 0 where none is |
//! | `lipschitz/duals/<statistic>` | multipliers; `lipschitz/duals/active` is the share above 0 |
//! | `lipschitz/complementary_slackness` | mean of \|λ g\| over demonstrated rows |
//! | `lipschitz/demonstration_mse` | (1/N) Σ ‖π(x) − u‖² over (at most some thousand) rows |
//! | `lipschitz/residual` | ê, the largest ‖π(x) − u‖ at those rows |
//! | `lipschitz/coverage` | δ: no point of the smallest box around those rows is further from one; for observations of up to 4 numbers |
//! | `lipschitz/expert_slope` | the steepest pair of those rows: a lower estimate of the expert's constant ℓ* |
//! | `lipschitz/forced_error` | what the worst pair of rows forces on every α-Lipschitz policy |
//! | `lipschitz/oracle/mse`, `…/policy_mse` | least possible error with α at `oracle` rows, and the policy's there |
//! | `lipschitz/solved/mse`, `…/lower`, `…/constraints` | a solved policy's error at its rows, the solver's lower bound, constraints used |

mod asking;
mod config;
mod constraint;
mod data;
mod expert;
mod learner;
mod measure;
mod model;
mod network;
mod solved;
pub mod steepness;
mod teacher;

pub use asking::{ExpertConfig, QueriesConfig};
pub use config::{ConstraintConfig, Duplicates, FeedbackConfig, Form, Normalise};
pub use expert::Asked;
pub use learner::Feedback;
pub use teacher::Teacher;
