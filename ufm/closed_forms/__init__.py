"""What is known in closed form: the simplex ETF, the global minimiser, and the Hessian's levels there."""
