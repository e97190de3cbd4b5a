"""Every critical point of a problem, up to the symmetries of f: found, counted, joined by descents.

atlas         what is found, as a list of critical points with their certificates; `explore` begins here
exploration   the parts of the search, and its state; search, levenberg: from starts to points
family        f at many points at once; catalogue: the points entered so far, each once
symmetry      permutations of the classes; involutions: the subspaces that groups of them fix
euler         the sums over all points that fail where one is missing
connections   where the flow goes from every saddle
"""

from .atlas import Atlas, CriticalPoint, critical_points, explore, partition_points

__all__ = ["Atlas", "CriticalPoint", "critical_points", "explore", "partition_points"]
