module celadon.dev/bench/load

go 1.22
