//! Points of secp256k1, of the curve y^2 = x^3 + 7.

use super::field::{Field, invert_all};
use std::ops::Neg;

/// A point by its coordinates, never infinity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Affine {
    pub(super) x: Field,
    pub(super) y: Field,
}

/// The point (x / z^2, y / z^3). Where z is 0 nothing is known: it is infinity, or an addition was met that [`Self::plus`]
/// cannot do, and everything that is computed from it has z = 0 too.
#[derive(Clone, Copy, Debug)]
pub(super) struct Jacobian {
    x: Field,
    y: Field,
    z: Field,
}

impl Neg for Affine {
    type Output = Self;

    fn neg(self) -> Self {
        Self { x: self.x, y: -self.y }
    }
}

impl Affine {
    /// The sum with another point, given the inverse of the distance from its x to the other's; none where that is 0.
    fn plus(self, other: Self, inverse: Field) -> Option<Self> {
        let slope = (other.y - self.y) * inverse;
        let x = slope.square() - self.x - other.x;
        let y = slope * (self.x - x) - self.y;
        (!inverse.is_zero()).then_some(Self { x, y })
    }
}

impl From<Affine> for Jacobian {
    fn from(Affine { x, y }: Affine) -> Self {
        Self { x, y, z: Field::ONE }
    }
}

impl Jacobian {
    /// Nothing is known.
    pub(super) const UNKNOWN: Self = Self { x: Field::ONE, y: Field::ONE, z: Field::ZERO };

    /// Twice the point. No point of this curve has y = 0, for its order is odd.
    ///
    /// With M = 3 x^2 and S = 4 x y^2: x' = M^2 - 2 S, y' = M (S - x') - 8 y^4, z' = 2 y z (Cohen, Miyaji and Ono 1998,
    /// for a = 0).
    pub(super) fn double(self) -> Self {
        let y2 = self.y.square();
        let m = self.x.square().times::<3>();
        let s = (self.x * y2).times::<4>();
        let x = m.square() - s.times::<2>();
        let y = m * (s - x) - y2.square().times::<8>();
        Self { x, y, z: (self.y * self.z).times::<2>() }
    }

    /// The sum with a point of another x. For one of the same x, equal or opposite, z becomes 0.
    ///
    /// The formulas are madd-2004-hmv of the Explicit-Formulas Database.
    pub(super) fn plus(self, other: Affine) -> Self {
        let z2 = self.z.square();
        let h = other.x * z2 - self.x;
        let r = other.y * (z2 * self.z) - self.y;
        let h2 = h.square();
        let h3 = h2 * h;
        let v = self.x * h2;
        let x = r.square() - h3 - v.times::<2>();
        let y = r * (v - x) - self.y * h3;
        Self { x, y, z: self.z * h }
    }
}

/// The coordinates of points, with one inversion for all of them; none where nothing is known.
pub(super) fn to_affine(points: &[Jacobian]) -> Vec<Option<Affine>> {
    let mut inverses: Vec<Field> = points.iter().map(|point| point.z).collect();
    invert_all(&mut inverses);
    let affine = |(point, inverse): (&Jacobian, Field)| {
        let inverse2 = inverse.square();
        let affine = Affine { x: point.x * inverse2, y: point.y * (inverse2 * inverse) };
        (!inverse.is_zero()).then_some(affine)
    };
    points.iter().zip(inverses).map(affine).collect()
}

/// Adds up every `size` neighbouring points, with a few inversions for all of them. There is no sum where one of the points
/// is missing, or where two were to be added that are equal or opposite: others than random points are rarely worth it.
pub(super) fn sums(mut points: Vec<Option<Affine>>, mut size: usize) -> Vec<Option<Affine>> {
    while size > 1 {
        points = sums_of_pairs(&points, size);
        size = size.div_ceil(2);
    }
    points
}

/// Adds the points of each pair of every `size` neighbouring ones; an odd one out stays.
fn sums_of_pairs(points: &[Option<Affine>], size: usize) -> Vec<Option<Affine>> {
    let pairs = || points.chunks(size).flat_map(|group| group.chunks(2));
    let distance = |pair: &[Option<Affine>]| match pair {
        [Some(one), Some(other)] => Some(other.x - one.x),
        _ => None,
    };
    let mut inverses: Vec<Field> = pairs().filter_map(distance).collect();
    invert_all(&mut inverses);
    let mut inverses = inverses.into_iter();
    let sum = |pair: &[Option<Affine>]| match pair {
        [only] => *only,
        [Some(one), Some(other)] => one.plus(*other, inverses.next()?),
        _ => None,
    };
    pairs().map(sum).collect()
}
