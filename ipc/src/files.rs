//! (declared by its server's author)
