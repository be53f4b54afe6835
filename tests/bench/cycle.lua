-- cycle - wrk asks for the paths of a file in turn, each thread from a place of its own.
local threads = 0

function setup(thread)
	thread:set("place", threads)
	threads = threads + 1
end

function init(args)
	requests = {}
	for path in io.lines(args[1]) do
		requests[#requests + 1] = wrk.format("GET", path)
	end
	current = math.floor(#requests * place / 2)
end

function request()
	current = current % #requests + 1
	return requests[current]
end
