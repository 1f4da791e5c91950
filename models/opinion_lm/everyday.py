"""The everyday domain: many plain nouns and adjectives with reasons that fit nearly anything.

Its combinations are too many to be learnt by heart, so a model has to copy the topic it is asked
about.
"""

from __future__ import annotations

from models.opinion_lm.domains import Domain
from models.opinion_lm.phrases import split

ADJECTIVES: tuple[str, ...] = split(
    """public | private | cheap | expensive | electric | foreign | local | online | small | large
    | old | new | free | modern | traditional | dangerous | quiet | noisy | shared | rural | urban
    | daily | weekly | mobile | wooden | plastic | digital | heavy | fast | slow | healthy | unsafe
    | illegal | voluntary | compulsory | seasonal | temporary | permanent | imported | homemade
    | famous | hidden | empty | crowded | broken | abandoned | luxury | simple | secret | open
    | international | regional | religious | historic | automatic | unpaid | second-hand | green
    | late-night | family-run | state-owned | underground | indoor | outdoor | extra | early"""
)

EVERYDAY = Domain(
    "everyday",
    split(
        """bakeries | bridges | tunnels | lifts | cinemas | theatres | pubs | cafes | hotels |
        motels | banks | post offices | petrol stations | garages | barbers | pharmacies |
        butchers | libraries | bookshops | newspapers | magazines | radio stations | phone calls
        | letters | parcels | maps | clocks | lamps | candles | mirrors | carpets | curtains |
        sofas | beds | kitchens | gardens | fences | hedges | lawns | ponds | rivers | lakes |
        beaches | cliffs | islands | mountains | caves | deserts | forests | farms | barns |
        tractors | horses | cows | sheep | goats | pigs | chickens | ducks | dogs | cats |
        rabbits | parrots | snakes | bees | butterflies | spiders | mosquitoes | rats | foxes |
        deer | bears | whales | sharks | seals | apples | bananas | potatoes | tomatoes | onions
        | mushrooms | cheese | butter | bread | rice | pasta | soup | salads | sandwiches |
        burgers | pizzas | cakes | biscuits | chocolate | ice cream | tea | coffee | lemonade |
        beer | whisky | cigars | medicines | glasses | hearing aids | wheelchairs | crutches |
        ambulances | fire engines | police cars | taxis | lorries | vans | motorbikes | bicycles
        | skateboards | boats | canoes | yachts | cruise ships | helicopters | balloons |
        rockets | satellites | telescopes | cameras | computers | printers | keyboards |
        batteries | chargers | headphones | televisions | radios | fridges | ovens | washing
        machines | vacuum cleaners | hammers | drills | ladders | paint | bricks | concrete |
        steel | glass | paper | cotton | wool | leather | jewellery | watches | shoes | boots |
        hats | scarves | gloves | jackets | jeans | umbrellas | suitcases | tents | toys | dolls
        | puzzles | card games | chess clubs | choirs | orchestras | guitars | pianos | drums |
        dances | concerts | parades | fireworks | birthdays | weddings | funerals | reunions |
        picnics | barbecues | fairs | auctions | raffles | contests | marathons | swimming pools
        | gyms | stadiums | golf courses | tennis courts | ski slopes | playgrounds | campsites
        | passports | visas | licences | permits | contracts | receipts | coupons | coins |
        banknotes | loans | pensions | salaries | bonuses | discounts | refunds | warranties |
        surveys | meetings | interviews | holidays | sick days | night shifts | lunch breaks |
        uniforms | name badges | offices | warehouses | factories | workshops | laboratories |
        robots | statues | fountains | benches | lamp posts | traffic lights | pavements |
        roundabouts | car parks | bus stops | train stations | airports | harbours | lighthouses
        | castles | churches | mosques | temples | cemeteries | markets | supermarkets | corner
        shops | vending machines | billboards | leaflets | slogans | speeches | rumours | jokes
        | nicknames | accents | diaries | poems | novels | cartoons | documentaries | soap
        operas | quiz shows | weather forecasts | horoscopes"""
    ),
    (),
    split(
        """life would be a little better | people I know would be glad | it would bring us together
        | the benefits are plain to see | it makes sense for families | we all gain something |
        good things should be shared | I have seen it work | the next generation would thank us
        | small changes matter | it gives people a choice | my neighbours feel the same | there
        is a real need | it saves time | it saves money | it is good for the mood | it helps
        those who have little | honest work deserves support | nobody is harmed | it has always
        served us well | it would make the place nicer | people ask for it | we can afford it |
        it is fair to everybody"""
    ),
    split(
        """it costs more than it brings | hardly anyone needs it | it causes trouble for neighbours
        | there are better ideas | it is a waste of time | it is a waste of money | nobody would
        follow the rule | we have managed without it | it could go badly wrong | someone has to
        clean up afterwards | it is not fair to the rest of us | it makes life more complicated
        | people should decide for themselves | it only helps a few | the noise alone is reason
        enough | it leads to arguments | we have more urgent problems | it harms those who are
        careful | it is out of date | I have seen it fail | there is no proof that it works | it
        takes something away from us | the price is too high | it opens the door to abuse"""
    ),
)
