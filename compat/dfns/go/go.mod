module lethe/compat/dfns

go 1.26

require github.com/dfns/dfns-sdk-go/v2 v2.0.1
