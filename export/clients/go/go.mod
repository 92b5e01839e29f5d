module usp.example/forecast

go 1.19
