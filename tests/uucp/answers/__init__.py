"""What this program makes of the vectors, one module a protocol.

Each has three functions. `read(wire, vector)`: what our code reads in the bytes, as facts by name.
`stated(vector)`: the facts that the vector's own words state, with the same names. `write(wire,
vector)`: the bytes that our code writes where it is to say what it has read.
"""
