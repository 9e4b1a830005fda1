"""The demo: real models, real traffic, one good release and two bad ones, on parts that are gone when it ends."""
