-- wrk: the same picture again and again, as one learner's.
local file = assert(io.open(os.getenv("IMAGE"), "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = "image/jpeg"
wrk.headers["X-Session-Id"] = "bench"
