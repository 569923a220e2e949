//! Spectral normalisation (Miyato et al. 2018, arXiv 1802.05957, section 2.1 and appendix A):
//! layers use W̄ = c W / σ with σ = uᵀ W v, where power iteration, one round a gradient step, keeps
//! u and v close to W's leading singular vectors. c = 1 in that paper.
//!
//! σ is differentiated with u and v held constant: from the gradient G with respect to W̄, that
//! with respect to W is (c G − ⟨G, W̄⟩ u vᵀ) / σ.
//!
//! σ never exceeds ‖W‖₂, so ‖W̄‖₂ ≥ c, with equality once the iteration has converged: this is what
//! learning uses, and no bound. Bounds come from exact norms.

use liprl_numerics::{Layer, Mlp, NumericsError, StateIo, StreamRng, kernels};
use rand_distr::{Distribution, StandardNormal};
use tch::Tensor;

use crate::NetsError;

/// Keeps a vector that became zero from being divided by its length.
const TINY: f32 = 1e-12;

/// The normalised layers of one network, with their singular vectors.
#[derive(Clone, Debug)]
pub struct SpectralNorm {
    layers: Vec<Normalised>,
    scale: f32,
}

#[derive(Clone, Debug)]
struct Normalised {
    layer: Layer,
    /// Leading left singular vector, `[outputs]`, of length 1.
    u: Vec<f32>,
    /// Leading right singular vector, `[inputs]`, of length 1.
    v: Vec<f32>,
    /// uᵀ W v.
    sigma: f32,
}

impl SpectralNorm {
    /// Normalises these layers of `mlp` to `scale`, c > 0; the first vectors are drawn from `rng`.
    pub fn new(mlp: &Mlp, layers: std::ops::Range<usize>, scale: f64, rng: &mut StreamRng) -> Self {
        let layers = mlp.layers[layers].iter().map(|&layer| {
            let mut direction = |len: usize| {
                let mut vector: Vec<f32> = (0..len).map(|_| StandardNormal.sample(rng)).collect();
                normalise(&mut vector);
                vector
            };
            Normalised { layer, u: direction(layer.outputs), v: direction(layer.inputs), sigma: 1.0 }
        });
        Self { layers: layers.collect(), scale: scale as f32 }
    }

    /// One round of power iteration on each layer of `params`.
    pub fn iterate(&mut self, params: &[f32]) {
        for Normalised { layer, u, v, sigma } in &mut self.layers {
            let weight = &params[layer.start..layer.bias()];
            v.fill(0.0);
            for (row, u) in weight.chunks_exact(layer.inputs).zip(&*u) {
                v.iter_mut().zip(row).for_each(|(v, w)| *v += u * w);
            }
            normalise(v);
            kernels::matvec(weight, v, u);
            *sigma = normalise(u).max(TINY);
        }
    }

    /// Writes the network that is used into `effective`: `params` with the normalised layers'
    /// weights times c / σ.
    pub fn apply(&self, params: &[f32], effective: &mut [f32]) {
        effective.copy_from_slice(params);
        for Normalised { layer, sigma, .. } in &self.layers {
            let factor = self.scale / sigma;
            effective[layer.start..layer.bias()].iter_mut().for_each(|w| *w *= factor);
        }
    }

    /// Brings those layers of `params` whose σ exceeds c back to it, W ← c W / σ, and leaves the
    /// others as they are: a projected gradient step, not a normalised layer (Gouk et al. 2021,
    /// arXiv 1804.04368).
    pub fn project(&mut self, params: &mut [f32]) {
        for Normalised { layer, sigma, .. } in self.layers.iter_mut().filter(|layer| layer.sigma > self.scale) {
            let factor = self.scale / *sigma;
            params[layer.start..layer.bias()].iter_mut().for_each(|w| *w *= factor);
            *sigma = self.scale;
        }
    }

    /// Takes a share of each of those layers' leading singular part off `params`: W ← W − `rate` σ u
    /// vᵀ.
    pub fn decay(&mut self, params: &mut [f32], rate: f64) {
        for Normalised { layer, u, v, sigma } in &mut self.layers {
            let weight = &mut params[layer.start..layer.bias()];
            let change = rate as f32 * *sigma;
            for (row, u) in weight.chunks_exact_mut(layer.inputs).zip(&*u) {
                row.iter_mut().zip(&*v).for_each(|(w, v)| *w -= change * u * v);
            }
            *sigma -= change;
        }
    }

    /// Turns a gradient with respect to the `effective` parameters into that with respect to the
    /// learnt ones, in place.
    pub fn pull_back(&self, effective: &[f32], gradient: &mut [f32]) {
        for Normalised { layer, u, v, sigma } in &self.layers {
            let range = layer.start..layer.bias();
            let gradient = &mut gradient[range.clone()];
            let along = kernels::dot(gradient, &effective[range]) / sigma;
            let factor = self.scale / sigma;
            for (row, u) in gradient.chunks_exact_mut(layer.inputs).zip(u) {
                row.iter_mut().zip(v).for_each(|(g, v)| *g = factor * *g - along * u * v);
            }
        }
    }

    /// The effective parameters by autograd over `params [len]`, on any device: the specification
    /// of `apply` and `pull_back`.
    pub fn forward(&self, params: &Tensor) -> Result<Tensor, NetsError> {
        let (mut parts, mut end, len) = (Vec::new(), 0, params.numel() as i64);
        for Normalised { layer, u, v, .. } in &self.layers {
            let (start, bias) = (layer.start as i64, layer.bias() as i64);
            let on =
                |vector: &[f32]| Tensor::f_from_slice(vector)?.f_to_device(params.device())?.f_to_kind(params.kind());
            let weight = params.f_narrow(0, start, bias - start)?;
            let matrix = weight.f_view([layer.outputs as i64, layer.inputs as i64])?;
            let sigma = on(u)?.f_dot(&matrix.f_mv(&on(v)?)?)?;
            parts.push(params.f_narrow(0, end, start - end)?);
            parts.push(weight * f64::from(self.scale) / sigma);
            end = bias;
        }
        parts.push(params.f_narrow(0, end, len - end)?);
        Ok(Tensor::f_cat(&parts, 0)?)
    }

    /// Everything that changes.
    pub fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), NumericsError> {
        for (i, Normalised { u, v, sigma, .. }) in self.layers.iter_mut().enumerate() {
            let mut io = io.scope(&i.to_string());
            io.f32("u", u)?;
            io.f32("v", v)?;
            io.f32("sigma", std::slice::from_mut(sigma))?;
        }
        Ok(())
    }
}

/// Scales to length 1 and returns the length it had.
fn normalise(vector: &mut [f32]) -> f32 {
    let norm = kernels::sum_of_squares(vector).sqrt() as f32;
    vector.iter_mut().for_each(|x| *x /= norm.max(TINY));
    norm
}

#[cfg(test)]
mod tests {
    use liprl_numerics::{Activation, Init, State, Streams, testing::numbers};

    use super::*;
    use crate::{
        autograd::{gradient, leaf},
        testing::assert_gradient,
    };

    fn network() -> (Mlp, Vec<f32>) {
        let mlp = Mlp::new(7, &[13, 11], 1, Activation::LeakyRelu(0.1), false, Init::Uniform);
        let params = numbers(mlp.len(), "params");
        (mlp, params)
    }

    #[test]
    fn sigma_converges_to_the_largest_singular_value() {
        let (mlp, params) = network();
        let mut spectral = SpectralNorm::new(&mlp, 0..2, 1.0, &mut Streams::new(1).rng("spectral"));
        (0..500).for_each(|_| spectral.iterate(&params));
        let mut effective = vec![0.0; params.len()];
        spectral.apply(&params, &mut effective);
        for layer in &mlp.layers[..2] {
            let matrix = |flat: &[f32]| {
                let flat = Tensor::from_slice(&flat[layer.start..layer.bias()]);
                flat.view([layer.outputs as i64, layer.inputs as i64]).to_kind(tch::Kind::Double)
            };
            let (_, singular, _) = matrix(&effective).svd(true, false);
            assert!((singular.max().double_value(&[]) - 1.0).abs() < 1e-5);
        }
        // Biases and the last layer are left alone.
        assert_eq!(effective[mlp.layers[2].start..], params[mlp.layers[2].start..]);
        assert_eq!(
            effective[mlp.layers[0].bias()..mlp.layers[1].start],
            params[mlp.layers[0].bias()..mlp.layers[1].start]
        );
    }

    #[test]
    fn projection_shortens_steep_layers_and_leaves_the_others() {
        let (mlp, params) = network();
        let norm = |flat: &[f32], layer: &Layer| {
            let flat = Tensor::from_slice(&flat[layer.start..layer.bias()]);
            let matrix = flat.view([layer.outputs as i64, layer.inputs as i64]).to_kind(tch::Kind::Double);
            matrix.svd(true, false).1.max().double_value(&[])
        };
        let norms: Vec<f64> = mlp.layers.iter().map(|layer| norm(&params, layer)).collect();
        let between = (norms[0] + norms[1]) / 2.0;
        let mut spectral = SpectralNorm::new(&mlp, 0..2, between, &mut Streams::new(1).rng("spectral"));
        (0..500).for_each(|_| spectral.iterate(&params));
        let mut projected = params.clone();
        spectral.project(&mut projected);
        for (layer, before) in mlp.layers.iter().zip(norms).take(2) {
            let after = norm(&projected, layer);
            assert!((after / before.min(between) - 1.0).abs() < 1e-5, "{before} {after}");
            assert_eq!(before < between, projected[layer.start..layer.end()] == params[layer.start..layer.end()]);
        }
        assert_eq!(projected[mlp.layers[2].start..], params[mlp.layers[2].start..]);
        let once = projected.clone();
        spectral.project(&mut projected);
        assert_eq!(projected, once);
    }

    #[test]
    fn gradient_by_hand_equals_autograd() {
        let (mlp, params) = network();
        let mut spectral = SpectralNorm::new(&mlp, 0..2, 0.7, &mut Streams::new(2).rng("spectral"));
        (0..3).for_each(|_| spectral.iterate(&params)); // far from converged: the formula must not need that
        let weights = numbers(params.len(), "weights of a linear loss");
        let leaf = leaf(&Tensor::from_slice(&params));
        let loss = spectral.forward(&leaf).unwrap().dot(&Tensor::from_slice(&weights));
        let mut effective = vec![0.0; params.len()];
        spectral.apply(&params, &mut effective);
        let by_hand = effective.iter().zip(&weights).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        assert!((by_hand - loss.double_value(&[])).abs() < 1e-4 * by_hand.abs());
        let mut pulled = weights.clone();
        spectral.pull_back(&effective, &mut pulled);
        assert_gradient(&pulled, &gradient(&loss, &leaf).unwrap());
    }

    #[test]
    fn a_restored_normaliser_goes_on_like_the_saved_one() {
        let (mlp, params) = network();
        let mut saved = SpectralNorm::new(&mlp, 0..2, 1.0, &mut Streams::new(3).rng("spectral"));
        saved.iterate(&params);
        let state = State::of(|io| saved.state(io)).unwrap();
        let mut loaded = SpectralNorm::new(&mlp, 0..2, 1.0, &mut Streams::new(4).rng("spectral"));
        loaded.state(&mut StateIo::load_from(&state)).unwrap();
        let [first, second] = [saved, loaded].map(|mut spectral| {
            spectral.iterate(&params);
            let mut effective = vec![0.0; params.len()];
            spectral.apply(&params, &mut effective);
            effective
        });
        assert_eq!(first, second);
    }
}
