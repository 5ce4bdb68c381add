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
        let x = slope.square().minus_both(self.x, other.x);
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
        let x = m.square().minus_both(s, s);
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
        let x = r.square().minus_both(h3, v.times::<2>());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known_keys::check::tests::{point, scalar};
    use alloy_primitives::U256;

    /// k G, by libsecp256k1.
    fn of(k: u64) -> Affine {
        point(&scalar(U256::from(k)).unwrap().public_key(secp256k1::SECP256K1))
    }

    fn only(point: Jacobian) -> Option<Affine> {
        to_affine(&[point])[0]
    }

    #[test]
    fn doubles_and_adds_as_libsecp256k1_does() {
        let mut sum = Jacobian::from(of(1));
        let mut k = 1;
        for step in 0..40_u64 {
            (sum, k) = if step % 3 == 1 { (sum.plus(of(step + 7)), k + step + 7) } else { (sum.double(), 2 * k) };
            assert_eq!(only(sum), Some(of(k)), "{k}");
        }
    }

    #[test]
    fn nothing_is_known_after_points_of_one_x_were_added() {
        let sum = Jacobian::from(of(5)).double();
        for same in [of(10), -of(10)] {
            let unknown = sum.plus(same);
            assert_eq!(only(unknown), None);
            assert_eq!(only(unknown.double()), None);
            assert_eq!(only(unknown.plus(of(3))), None);
        }
        assert_eq!(only(Jacobian::UNKNOWN), None);
        assert_eq!(to_affine(&[sum, Jacobian::UNKNOWN, sum]), [Some(of(10)), None, Some(of(10))]);
    }

    #[test]
    fn sums_groups_and_says_which_it_cannot() {
        let points = |ks: &[u64]| ks.iter().map(|k| Some(of(*k))).collect::<Vec<_>>();
        assert_eq!(sums(points(&[1, 2, 4, 8, 16, 32]), 6), [Some(of(63))]);
        assert_eq!(sums(points(&[1, 2, 4, 8, 16, 32]), 3), [Some(of(7)), Some(of(56))]);
        assert_eq!(sums(points(&[1, 2, 4]), 1), points(&[1, 2, 4]));
        assert_eq!(sums(vec![], 6), []);
        // Equal and opposite points, at the first and at the second addition, spoil their own group alone.
        for spoilt in [[Some(of(1)), Some(of(1)), Some(of(5))], [Some(of(1)), Some(of(2)), Some(of(3))]] {
            for last in [spoilt[2], spoilt[2].map(Affine::neg)] {
                let spoilt = [spoilt[0], spoilt[1], last];
                let groups = [points(&[1, 2, 4]), spoilt.to_vec(), points(&[3, 5, 9])].concat();
                assert_eq!(sums(groups, 3), [Some(of(7)), None, Some(of(17))]);
            }
        }
        assert_eq!(sums([points(&[1, 2]), vec![None]].concat(), 3), [None]);
        assert_eq!(sums(vec![Some(of(4)), Some(-of(4)), Some(of(9)), Some(of(1))], 2), [None, Some(of(10))]);
    }
}
