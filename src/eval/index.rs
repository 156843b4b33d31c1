//! Walking multi-dimensional indices in row-major order.

/// All indices of a shape in row-major order.
pub struct Indices {
    shape: Vec<usize>,
    next: Option<Vec<usize>>,
}

impl Indices {
    /// Starts at the first index; nothing for a shape without elements.
    pub fn new(shape: &[usize]) -> Indices {
        Indices { shape: shape.to_vec(), next: (!shape.contains(&0)).then(|| vec![0; shape.len()]) }
    }
}

impl Iterator for Indices {
    type Item = Vec<usize>;

    fn next(&mut self) -> Option<Vec<usize>> {
        let current = self.next.take()?;
        let mut following = current.clone();
        for axis in (0..self.shape.len()).rev() {
            following[axis] += 1;
            if following[axis] < self.shape[axis] {
                self.next = Some(following);
                break;
            }
            following[axis] = 0;
        }
        Some(current)
    }
}

/// The position of an index in row-major order.
pub fn flat(shape: &[usize], index: &[usize]) -> usize {
    shape.iter().zip(index).fold(0, |at, (&size, &i)| at * size + i)
}
