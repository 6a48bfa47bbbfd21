//! [`Shape`]: how long the two rings are, and where they lie.

use shared::{Memory, PAGE};

/// Orders of the rings that lie in the page of indices, each at the offset of its own length.
const SMALL: u16 = 10;
const LARGE: u16 = 11;
/// The least and the greatest order of a ring in pages of its own; the references of both fit behind the indices.
const PAGED: core::ops::RangeInclusive<u16> = 12..=20;

/// The lengths of both rings, as powers of two: the client writes the left one and reads the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    left: u16,
    right: u16,
}

impl Shape {
    /// Rings of 2^`left` and 2^`right` bytes. In the page of indices there is room for one of order 10 and one of order 11; others
    /// have pages of their own, from order 12 on. `None` for other orders, two in the same place, or more than 1,018 pages.
    #[must_use]
    pub fn new(left: u16, right: u16) -> Option<Self> {
        let fine = |order| order == SMALL || order == LARGE || PAGED.contains(&order);
        let apart = left != right || left > LARGE;
        let shape = Self { left, right };
        let most = (PAGE - crate::GRANTS) / size_of::<u32>();
        (fine(left) && fine(right) && apart && shape.fits(most)).then_some(shape)
    }

    /// Whether the references do not run into a ring that lies in the page.
    fn fits(self, most: usize) -> bool {
        let in_page = [self.left, self.right].into_iter().filter(|order| *order <= LARGE).min();
        let room = in_page.map_or(most, |order| ((1 << order) - crate::GRANTS) / size_of::<u32>());
        self.pages() - 1 <= room
    }

    /// All pages: that of the indices, then those of the left ring, then those of the right one.
    #[must_use]
    pub const fn pages(self) -> usize {
        1 + pages(self.left) + pages(self.right)
    }

    /// The pages that the client may write: the first so many.
    #[must_use]
    pub const fn written(self) -> usize {
        1 + pages(self.left)
    }

    pub(crate) const fn left_order(self) -> u16 {
        self.left
    }

    pub(crate) const fn right_order(self) -> u16 {
        self.right
    }

    /// The bytes of the left and of the right ring.
    pub(crate) fn rings(self, memory: Memory) -> Option<(Memory, Memory)> {
        let ring = |order: u16, first: usize| {
            let bytes = 1 << order;
            let at = if order <= LARGE { bytes } else { first * PAGE };
            memory.part(at, bytes)
        };
        Some((ring(self.left, 1)?, ring(self.right, self.written())?))
    }
}

const fn pages(order: u16) -> usize {
    if order <= LARGE { 0 } else { (1 << order) / PAGE }
}

#[cfg(test)]
mod tests {
    use super::Shape;

    #[test]
    fn rings_lie_apart_or_are_refused() {
        for (left, right) in [(10, 10), (11, 11), (9, 12), (12, 21), (0, 10), (16, 65535)] {
            assert_eq!(Shape::new(left, right), None, "{left} {right}");
        }
        for (left, right, pages) in
            [(10, 11, 1), (11, 10, 1), (12, 11, 2), (14, 14, 9), (20, 20, 513)]
        {
            assert_eq!(Shape::new(left, right).map(Shape::pages), Some(pages), "{left} {right}");
        }
    }

    #[test]
    fn references_do_not_run_into_a_ring() {
        assert!(Shape::new(10, 19).is_some());
        assert!(Shape::new(10, 20).is_none(), "256 references are more than 250");
        assert!(Shape::new(20, 11).is_some());
    }
}
