-- ranges SIZE LENGTH - wrk asks for so many bytes at a random place of so many.
function init(args)
	size, length = tonumber(args[1]), tonumber(args[2])
	math.randomseed(os.time())
end

function request()
	local from = math.random(0, size - length)
	return wrk.format("GET", nil, { Range = "bytes=" .. from .. "-" .. from + length - 1 })
end
