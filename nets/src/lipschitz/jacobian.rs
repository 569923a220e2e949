//! Gradient and Jacobian norms at given points, in the Euclidean norm.
//!
//! By autograd for a function of rows, `[B, I]` to `[B, O]`, each output row depending on its own
//! input row alone; by central differences for a simulator. Norms are taken in f64 whatever type
//! the function works in.
//!
//! Three sizes of a vector-valued function's Jacobian J are in use, and they differ: ‖J‖₂, the
//! local Lipschitz constant; ‖J‖_F ≥ ‖J‖₂; and the gradient of the *sum* of the outputs, ‖Jᵀ1‖₂ ≤
//! √O ‖J‖₂, for which one backward pass is enough. The last may be 0 where J is not; it is what the
//! official code of arXiv 2006.16785 measures (`docs/derivations/liayn.md`).

use tch::{Device, Kind, TchError, Tensor};

use super::spectral_norms;
use crate::NetsError;

/// Norms of a Jacobian at each row.
#[derive(Clone, Debug, PartialEq)]
pub struct JacobianNorms {
    /// ‖J‖₂, the largest singular value.
    pub spectral: Vec<f64>,
    /// ‖J‖_F, the root of the sum of squares.
    pub frobenius: Vec<f64>,
    /// ‖Jᵀ1‖₂, the gradient norm of the outputs' sum.
    pub sum: Vec<f64>,
}

impl JacobianNorms {
    /// Of these Jacobians, `[B, O, I]`, wherever they come from.
    pub fn of(jacobians: &Tensor) -> Result<Self, NetsError> {
        let jacobians = jacobians.f_to(Device::Cpu)?.f_to_kind(Kind::Double)?;
        Ok(Self {
            spectral: spectral_norms(&jacobians)?,
            frobenius: row_norms(&jacobians.f_flatten(1, -1)?)?,
            sum: row_norms(&jacobians.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Double)?)?,
        })
    }
}

/// ‖∇ₓ f(x)‖₂ at each row of `x [B, I]`, f having one output per row (`[B]` or `[B, 1]`; an error
/// otherwise).
pub fn gradient_norms(f: impl FnOnce(&Tensor) -> Result<Tensor, NetsError>, x: &Tensor) -> Result<Vec<f64>, NetsError> {
    let one = |x: &Tensor| {
        let y = f(x)?;
        match y.size()[..] {
            [_] | [_, 1] => Ok(y),
            _ => Err(shape(format!("a gradient needs one output per row, not {:?}", y.size()))),
        }
    };
    row_norms(&gradient(one, x)?)
}

/// ‖∇ₓ Σⱼ fⱼ(x)‖₂ at each row of `x [B, I]`: not a norm of the Jacobian, see the module's head.
pub fn sum_gradient_norms(
    f: impl FnOnce(&Tensor) -> Result<Tensor, NetsError>,
    x: &Tensor,
) -> Result<Vec<f64>, NetsError> {
    row_norms(&gradient(f, x)?)
}

/// Norms of f's Jacobian at each row of `x [B, I]`.
pub fn jacobian_norms(
    f: impl FnOnce(&Tensor) -> Result<Tensor, NetsError>,
    x: &Tensor,
) -> Result<JacobianNorms, NetsError> {
    JacobianNorms::of(&jacobian(f, x)?)
}

/// The gradient of the sum of f's outputs at each row of `x [B, I]`: `[B, I]`, a constant. For an f
/// with one output per row, its gradient.
pub fn gradient(f: impl FnOnce(&Tensor) -> Result<Tensor, NetsError>, x: &Tensor) -> Result<Tensor, NetsError> {
    let (leaf, y) = traced(f, x, |y| y.f_sum(y.kind()))?;
    back(&y, &leaf, false)
}

/// f's Jacobian at each row of `x [B, I]`: `[B, O, I]`, constants. One backward pass for each
/// output column.
pub fn jacobian(f: impl FnOnce(&Tensor) -> Result<Tensor, NetsError>, x: &Tensor) -> Result<Tensor, NetsError> {
    let columns = |y: &Tensor| y.f_reshape([x.size()[0], -1])?.f_sum_dim_intlist([0i64].as_slice(), false, y.kind());
    let (leaf, columns) = traced(f, x, |y| columns(y)?.f_unbind(0))?;
    let rows = columns.iter().map(|column| back(column, &leaf, true));
    Ok(Tensor::f_stack(&rows.collect::<Result<Vec<_>, _>>()?, 1)?)
}

/// `x` as a leaf, and `reduce` of f of it with its graph, whether or not the caller records
/// gradients.
fn traced<T>(
    f: impl FnOnce(&Tensor) -> Result<Tensor, NetsError>,
    x: &Tensor,
    reduce: impl FnOnce(&Tensor) -> Result<T, TchError>,
) -> Result<(Tensor, T), NetsError> {
    tch::with_grad(|| {
        let leaf = x.f_detach()?.set_requires_grad(true);
        let y = f(&leaf)?;
        match (&x.size()[..], &y.size()[..]) {
            ([rows, _], [outputs] | [outputs, _]) if rows == outputs => Ok((leaf, reduce(&y)?)),
            (from, to) => Err(shape(format!("rows [B, I] to [B, O] expected, not {from:?} to {to:?}"))),
        }
    })
}

/// The gradient of the scalar `y`; 0 where it does not depend on `leaf`.
fn back(y: &Tensor, leaf: &Tensor, keep_graph: bool) -> Result<Tensor, NetsError> {
    if !y.requires_grad() {
        return Ok(leaf.f_detach()?.f_zeros_like()?);
    }
    let gradient = Tensor::f_run_backward(&[y], &[leaf], keep_graph, false)?.swap_remove(0);
    if gradient.defined() { Ok(gradient) } else { Ok(leaf.f_detach()?.f_zeros_like()?) }
}

/// The Euclidean norm of each row of `[B, I]`.
fn row_norms(rows: &Tensor) -> Result<Vec<f64>, NetsError> {
    let rows = rows.f_to(Device::Cpu)?.f_to_kind(Kind::Double)?;
    Ok(Vec::try_from(&rows.f_norm_scalaropt_dim(2, [1i64].as_slice(), false)?)?)
}

fn shape(problem: String) -> NetsError {
    NetsError::Torch(TchError::Shape(problem))
}

#[cfg(test)]
mod tests {
    use liprl_numerics::{
        Mlp,
        testing::{finite_difference_jacobian, numbers},
    };

    use super::*;
    use crate::{Autograd, testing::networks};

    fn close(a: f64, b: f64, tolerance: f64) -> bool {
        (a - b).abs() <= tolerance * a.abs().max(b.abs()).max(1.0)
    }

    fn normal(shape: &[i64], name: &str) -> Tensor {
        let count = shape.iter().product::<i64>() as usize;
        Tensor::from_slice(&numbers(count, name)).to_kind(Kind::Double).view(shape)
    }

    /// An orthogonal matrix.
    fn rotation(n: i64, name: &str) -> Tensor {
        Tensor::linalg_qr(&normal(&[n, n], name), "reduced").0
    }

    #[test]
    fn a_linear_map_has_the_singular_values_it_was_made_with() {
        let singular = Tensor::from_slice(&[5.0, 2.0, 0.5]);
        let map = rotation(3, "left").matmul(&singular.diag(0)).matmul(&rotation(4, "right").narrow(0, 0, 3));
        let x = normal(&[6, 4], "x");
        let norms = jacobian_norms(|x| Ok(x.matmul(&map.tr())), &x).unwrap();
        let sum = map.sum_dim_intlist([0i64].as_slice(), false, Kind::Double).norm().double_value(&[]);
        for row in 0..6 {
            assert!(close(norms.spectral[row], 5.0, 1e-12));
            assert!(close(norms.frobenius[row], 29.25f64.sqrt(), 1e-12));
            assert!(close(norms.sum[row], sum, 1e-12));
        }
        assert!(sum_gradient_norms(|x| Ok(x.matmul(&map.tr())), &x).unwrap().iter().all(|s| close(*s, sum, 1e-12)));
        let first = map.get(0);
        let gradients = gradient_norms(|x| Ok(x.mv(&first)), &x).unwrap();
        assert!(gradients.iter().all(|g| close(*g, first.norm().double_value(&[]), 1e-12)));
    }

    #[test]
    fn the_sum_of_outputs_may_be_flat_where_the_function_is_not() {
        // (x, −x).
        let norms = jacobian_norms(|x| Ok(Tensor::cat(&[x, &-x], 1)), &normal(&[3, 1], "x")).unwrap();
        assert_eq!(norms.sum, [0.0; 3]);
        assert!(norms.spectral.iter().all(|s| close(*s, 2f64.sqrt(), 1e-12)));
    }

    #[test]
    fn every_row_has_the_jacobian_of_central_differences() {
        for net in networks() {
            let mlp = Mlp::new(3, &[8, 6], 2, net.activation, net.layer_norm, net.init);
            let (params, x) = (normal(&[mlp.len() as i64], "params"), normal(&[5, 3], "rows"));
            // Under no_grad, as an agent's monitor calls it.
            let jacobians = tch::no_grad(|| jacobian(|x| Ok(mlp.forward(&params, x)), &x)).unwrap();
            assert_eq!(jacobians.size(), [5, 2, 3]);
            for row in 0..5 {
                let point = Vec::<f64>::try_from(x.get(row)).unwrap();
                let f = |x: &[f64], out: &mut [f64]| {
                    mlp.forward(&params, &Tensor::from_slice(x).view([1, 3])).view([-1]).copy_data(out, 2);
                    Ok::<_, std::convert::Infallible>(())
                };
                let differences = finite_difference_jacobian(f, &point, 2, 1e-6).unwrap();
                for (autograd, difference) in
                    Vec::<f64>::try_from(jacobians.get(row).flatten(0, -1)).unwrap().into_iter().zip(differences)
                {
                    assert!(close(autograd, difference, 1e-6), "{net:?}: {autograd} {difference}");
                }
            }
            let single = jacobian_norms(|x| Ok(mlp.forward(&params.to_kind(Kind::Float), x)), &x.to_kind(Kind::Float));
            for (single, double) in
                single.unwrap().spectral.into_iter().zip(JacobianNorms::of(&jacobians).unwrap().spectral)
            {
                assert!(close(single, double, 1e-4), "{net:?}: {single} {double}");
            }
        }
    }

    #[test]
    fn what_does_not_depend_on_the_input_is_flat_and_wrong_shapes_are_refused() {
        let x = normal(&[3, 2], "x");
        assert_eq!(
            gradient_norms(|x| Ok(Tensor::ones([x.size()[0]], (Kind::Double, Device::Cpu))), &x).unwrap(),
            [0.0; 3]
        );
        let half =
            jacobian_norms(|x| Ok(Tensor::cat(&[x.narrow(1, 0, 1), x.detach().narrow(1, 1, 1)], 1)), &x).unwrap();
        assert_eq!(half.spectral, [1.0; 3]);
        let error = gradient_norms(|x| Ok(x * 2.0), &x).unwrap_err().to_string();
        assert!(error.contains("one output per row"), "{error}");
        assert!(sum_gradient_norms(|x| Ok(x.sum(Kind::Double)), &x).is_err());
        assert!(jacobian(|x| Ok(x.narrow(0, 0, 2)), &x).is_err());
    }
}
