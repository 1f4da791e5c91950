"""Fields of public life with things people argue about, proposals, and reasons.

Written for this project. Reasons are clauses that do not name the topic, so that each fits every
topic of its domain.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Domain:
    """One field of public life: noun phrases, proposals (verb phrases), reasons for and against."""

    name: str
    things: tuple[str, ...]
    proposals: tuple[str, ...]
    good: tuple[str, ...]
    bad: tuple[str, ...]


def _words(text: str) -> tuple[str, ...]:
    return tuple(" ".join(part.split()) for part in text.split(";") if part.strip())


def _domain(name: str, things: str, proposals: str, good: str, bad: str) -> Domain:
    return Domain(name, _words(things), _words(proposals), _words(good), _words(bad))


DOMAINS: tuple[Domain, ...] = (
    _domain(
        "transport",
        """free buses; night trains; private cars in city centres; electric scooters; toll roads;
        cycle lanes; speed cameras; airport expansion; high-speed rail; parking fees; ride-hailing
        apps; electric cars; carpool lanes; school buses; low-emission zones; short flights;
        motorway speed limits; self-driving taxis; ferries; delivery vans; trams; pedestrian
        streets; petrol taxes; road pricing; bus drivers; driving tests for older people""",
        """close the city centre to private cars; make all buses free; lower the speed limit to 20
        miles per hour; build a second airport; ban short domestic flights; charge drivers by the
        mile; put bike lanes on every main road; give students free train tickets; allow
        self-driving trucks; raise the driving age to 21; make older drivers retake the test;
        remove parking spaces for trees; run trains all night; tax large cars more""",
        """streets would be quieter; the air would be easier to breathe; people without a car
        could get to work; there would be fewer accidents; children could walk to school safely;
        commuting would cost families less; visitors would come more often; less fuel would be
        burned; traffic jams would shrink; older people could get around; shops would see more
        people on foot; journeys would be faster for most of us""",
        """people in the suburbs have no other way to travel; small shops would lose customers;
        disabled people need to be driven to the door; the cost would land on taxpayers; tradesmen
        cannot carry tools on a bus; the roads are already crowded; shift workers travel when
        nothing else runs; rural towns would be forgotten; tickets would get more expensive; the
        side streets would fill up with traffic; nobody asked the residents; repairs come first""",
    ),
    _domain(
        "environment",
        """nuclear power; wind farms; plastic packaging; recycling rules; coal mines; solar panels;
        river pollution; carbon taxes; national parks; fishing quotas; forest fires; wolves near
        villages; gas heating; electric heat pumps; fracking; climate change; water rationing;
        food waste; plastic bags; rewilding; clean air; tree planting; oil drilling; air
        conditioning; green energy; garden chemicals; climate protests; flood defences""",
        """ban plastic bags; close the last coal plants; build new nuclear reactors; tax carbon;
        plant a tree for every new baby; bring wolves back to the hills; ration water in dry
        summers; pay people to insulate their homes; ban gas boilers in new houses; protect a third
        of the sea; stop oil drilling near the coast; fine people who do not recycle; forbid
        fireworks; put solar panels on every school""",
        """our children deserve a clean planet; rivers and beaches would recover; energy bills
        would fall in the long run; wildlife needs more room; the weather is already getting
        worse; we waste far too much; clean jobs would come to the region; waiting will only make
        things worse; our health depends on clean air; we would depend less on other countries;
        nature cannot speak for itself; small changes add up""",
        """poor families would pay the highest price; other countries pollute far more; jobs in
        the area would disappear; the technology is not ready yet; farmers would carry the burden;
        bills are high enough already; the landscape would be spoiled; the evidence is not clear
        to me; it should be a free choice; the rules would be hard to enforce; companies would
        simply move abroad; winter nights are too cold to experiment""",
    ),
    _domain(
        "health",
        """vaccinations; sugar taxes; private hospitals; waiting lists; mental health care; junk
        food adverts; smoking bans; organ donation; dental care; vaping; medical cannabis; online
        doctors; health insurance; free prescriptions; nurses' pay; care homes; alcohol prices;
        genetic testing; school lunches; energy drinks; hospital food; family doctors; drug
        prices; sleep; fasting; gym memberships; fertility treatment; home births""",
        """tax sugary drinks; make organ donation automatic; ban smoking in parks; offer free
        dental care; pay nurses more; let pharmacists prescribe medicine; ban adverts for junk
        food; charge patients who miss appointments; give everyone a yearly check-up; build more
        care homes; limit the price of medicine; legalize medical cannabis; stop selling energy
        drinks to teenagers; fund therapy for young people""",
        """lives would be saved; prevention is cheaper than treatment; nobody should be sick
        because of money; hospitals would be less crowded; parents would worry less; young people
        need more support; doctors have asked for this for years; good health helps everyone work;
        I have seen what illness does to a family; early help makes a big difference; people
        would live longer; the poorest would gain the most""",
        """adults can decide for themselves; taxes would have to rise; side effects worry me;
        doctors have too little time already; the state should not control our bodies; the money
        would be wasted on paperwork; people would find a way around the rule; private choices
        are private; trust would suffer; it punishes those with little money; there is not enough
        staff; the science keeps changing""",
    ),
    _domain(
        "education",
        """school uniforms; homework; smartphones in class; university fees; private schools;
        exams; religious schools; sex education; teachers' salaries; longer school days; learning
        Latin; sports lessons; student loans; homeschooling; class sizes; online courses; music
        lessons; school trips; grades; apprenticeships; nursery places; library hours; school
        prayer; coding lessons; summer holidays; boarding schools; languages at school""",
        """ban phones in schools; make university free; require school uniforms; abolish homework
        for young children; start school an hour later; teach coding from the age of six; pay
        teachers more; close private schools; make exams optional; shorten the summer holidays;
        teach money skills to every pupil; offer free breakfast at school; forgive student debt;
        keep libraries open on Sundays""",
        """children would concentrate better; every child deserves a fair start; teachers would
        stay in the job; good schools make a good country; poor pupils would catch up; learning
        should be a pleasure; the skills are useful later in life; parents would have more time;
        it worked well for my own children; pupils would sleep more; employers want better
        training; knowledge opens doors""",
        """pupils learn in different ways; parents should decide; there is already too much
        pressure; the standard would drop; schools have no money for it; teachers are overloaded;
        hard work should be rewarded; children need time to play; discipline would suffer; not
        everyone needs a degree; traditions in school matter; the experiment could go wrong""",
    ),
    _domain(
        "technology",
        """social media; facial recognition; artificial intelligence; robots in factories; online
        voting; video games; smart speakers; drones; password rules; data collection; chatbots;
        deepfakes; cash machines; self-checkout tills; internet access; electronic books; 5G
        masts; online dating; algorithms; virtual reality; digital identity cards; home robots;
        computer viruses; search engines; children's tablets; streaming services; spam calls""",
        """ban facial recognition in public places; set a minimum age of 16 for social media; tax
        robots; make chatbots say they are machines; introduce online voting; delete children's
        data after a year; break up the largest technology companies; require labels on images
        made by computers; give every home fast internet; forbid cookies without consent; let
        drones deliver parcels; keep cash in every shop; teach online safety; slow down the
        development of artificial intelligence""",
        """life would be easier; people would be safer online; dull work could be done by
        machines; companies need clear limits; remote villages would be connected; young minds
        need protection; progress helps everyone in the end; privacy is a basic right; mistakes
        would be found sooner; information should be free; new jobs would appear; we could check
        what is real""",
        """our data could be stolen; people would lose their jobs; machines make mistakes nobody
        can explain; older people would be left out; a few companies hold too much power; we talk
        to each other less and less; the law always comes too late; criminals adapt quickly;
        inventors would leave; nobody reads the small print; I do not want to be watched; too much
        time is spent on screens""",
    ),
    _domain(
        "economy",
        """the minimum wage; a four-day week; inheritance tax; a basic income; trade unions; bank
        bonuses; working from home; Sunday shopping; the pension age; unpaid internships; interest
        rates; free trade; luxury goods; wealth taxes; zero-hour contracts; tips in restaurants;
        start-ups; lottery tickets; credit cards; cryptocurrency; public debt; foreign investors;
        overtime; parental leave; job security; price controls; food prices; rich people""",
        """raise the minimum wage; move to a four-day week; tax the very rich; give everyone a
        basic income; close shops on Sundays; raise the pension age; pay interns; cap the pay of
        managers; abolish inheritance tax; let people work from home; put a limit on rent; lower
        taxes for small firms; spend less on debt; give fathers equal leave""",
        """workers would have more time for their families; people could pay their bills; money
        would flow back to small towns; everyone should get a fair share; tired people work badly;
        the gap between rich and poor is too wide; young people could start a life; companies
        would treat staff better; spending would rise; hard work should pay; families would feel
        secure; the profits are high enough""",
        """small firms could not afford it; prices would go up; people should stand on their own
        feet; jobs would move abroad; the budget is already stretched; success should not be
        punished; fewer people would be hired; the state is a poor manager; savings would lose
        value; customers would suffer; somebody has to do the work; it sounds better than it is""",
    ),
    _domain(
        "justice",
        """the death penalty; prison sentences; police body cameras; gun licences; community
        service; drug laws; jury trials; speeding fines; shoplifting; street cameras; youth
        prisons; knife crime; legal aid; life sentences; police patrols; hate speech laws;
        witness protection; graffiti; private security guards; bail; court delays; tax fraud;
        online fraud; self-defence; neighbourhood watch; fines for littering; prison work""",
        """abolish the death penalty; put body cameras on every officer; send fewer people to
        prison; raise fines for littering; make sentences longer; legalize cannabis; lower the age
        of criminal responsibility; ban knives in public; give prisoners the vote; record every
        trial on video; hire more police; make fines depend on income; clear old convictions;
        require a licence for every gun""",
        """streets would feel safer; victims deserve justice; people can change; mistakes cannot
        be undone otherwise; the rules would be the same for rich and poor; criminals would think
        twice; trust in the police would grow; prisons are overcrowded; families suffer too;
        honest people have nothing to fear; courts would work faster; it is a matter of fairness""",
        """innocent people could be punished; crime would rise; the punishment must fit the crime;
        the police have enough power already; it costs too much; victims would be forgotten;
        freedom is worth more; it does not stop real criminals; judges should decide each case;
        the poor would be hit first; the causes lie elsewhere; it sends the wrong signal""",
    ),
    _domain(
        "housing",
        """rent control; tall buildings; holiday homes; social housing; tiny houses; empty flats;
        homelessness; mortgages; short-term rentals; green belts; landlords; shared flats; old
        factories; noisy neighbours; building permits; public squares; gardens; shopping centres;
        village schools; city parks; rural broadband; student housing; gated communities; markets;
        playgrounds; street lighting; public toilets; community centres""",
        """freeze rents; build homes on the green belt; tax empty flats; ban short-term rentals in
        the old town; build more social housing; turn offices into apartments; limit the height of
        new buildings; give every homeless person a room; sell council houses to tenants; open a
        park in every district; let tenants keep pets; protect old buildings; keep public toilets
        free; light every street at night""",
        """young couples could finally find a home; neighbours would know each other; everyone
        needs a roof; the town would come alive; prices have gone mad; children need space;
        families would not be pushed out; empty rooms help nobody; the area would look better;
        people would feel safe in the evening; the old centre deserves care; it brings people
        together""",
        """owners have rights too; fewer homes would be built; the character of the place would
        change; the traffic would be terrible; landlords would sell up; green space is precious;
        taxpayers cannot pay for everything; the queue would only get longer; property values
        would drop; noise would keep us awake; the council cannot even fix the pavements; people
        move here for the quiet""",
    ),
    _domain(
        "culture",
        """zoos; museums; football fans; public broadcasting; tattoos; beauty contests; opera
        tickets; horse racing; street music; reality shows; newspapers; religious holidays; dress
        codes; statues; bullfighting; esports; circus animals; Christmas markets; comic books;
        public libraries; swear words; traditional festivals; modern art; celebrity advice;
        dialects; film ratings; fashion; board games; podcasts; gambling adverts""",
        """make museums free; ban circus animals; end public funding for opera; forbid gambling
        adverts; remove old statues; pay female athletes the same; ban bullfighting; allow street
        music everywhere; teach traditional dances at school; tax streaming services; keep shops
        closed on holidays; show more local films; stop beauty contests for children; lower the
        price of theatre tickets""",
        """everyone should enjoy art; animals are not toys; traditions hold us together; it brings
        joy to ordinary people; local artists need help; young people would learn our history;
        talent should be rewarded; it makes the town worth visiting; people need something to
        laugh about; all voices should be heard; good stories change minds; the old ways were
        cruel""",
        """public money is needed elsewhere; tastes differ; nobody forces you to watch; it is part
        of our heritage; the audience would shrink; artists should earn their own living; it is
        only a game; we should not rewrite history; it would become boring; rules kill the fun;
        most people do not care; the tickets would still be too dear""",
    ),
    _domain(
        "food",
        """meat; organic vegetables; fast food; school gardens; lab-grown meat; farm subsidies;
        vegan restaurants; pesticides; fishing; palm oil; bottled water; food labels; hunting;
        cage eggs; supermarket prices; home cooking; local markets; insects as food; genetically
        modified crops; food banks; dairy farms; wine; late-night snacks; coffee cups; eating
        together; live animal transport; imported fruit; cooking lessons""",
        """tax meat; label food with its carbon cost; ban cage eggs; give unsold food to charity;
        allow genetically modified crops; stop live animal transport; serve only vegetarian food
        in canteens one day a week; pay farmers for clean rivers; teach every child to cook; ban
        palm oil; lower the price of fresh fruit; limit pesticides; support small farms; forbid
        drinks in plastic bottles""",
        """animals would suffer less; people would eat better; small farms would survive; fresh
        food should not be a luxury; we know too little about what we eat; the soil would recover;
        families would save money; local food tastes better; nobody should go hungry; children
        would learn where food comes from; the doctor would be happy; waste is a shame""",
        """food would be dearer; I want to choose what I eat; farmers can barely live as it is;
        poor families would eat worse; people have always done it; harvests would be smaller; the
        labels confuse everyone; the taste is not the same; imports would replace our own produce;
        the shops would not follow the rule; there is no need to preach; a treat now and then is
        fine""",
    ),
    _domain(
        "society",
        """immigration; language tests; volunteering; military service; marriage; adoption; single
        parents; religion in politics; grandparents; dual citizenship; refugees; neighbours;
        gender quotas; disability benefits; loneliness; large families; working mothers; arranged
        marriage; retirement; pets; young people today; charity; national pride; integration
        courses; freedom of speech; equal pay; strangers; foreign aid; trust between people""",
        """accept more refugees; require a language test for citizenship; bring back military
        service; set quotas for women on company boards; pay parents who stay at home; allow dual
        citizenship; give same-sex couples the right to adopt; make volunteering part of school;
        cut foreign aid; let asylum seekers work; tax churches; lower the voting age to 16;
        recognise more minority languages; give carers a pension""",
        """people deserve a second chance; we are stronger together; everyone should be treated
        the same; the country needs workers; families come in many forms; helping others makes us
        happy; different ideas enrich us; nobody chooses where they are born; young people would
        learn responsibility; fairness matters most to me; the old rules no longer fit; kindness
        costs nothing""",
        """services are already stretched; people should be judged on merit; our own poor come
        first; it would divide the country; families know best; the state should stay out of it;
        nobody should be forced; customs would be lost; it is unfair to those who waited; the
        numbers are too high; it rewards the wrong behaviour; change needs more time""",
    ),
    _domain(
        "politics",
        """compulsory voting; referendums; the monarchy; political donations; term limits;
        lobbying; local councils; opinion polls; protest marches; the national flag; strikes;
        the army budget; sanctions; peace talks; young politicians; television debates; border
        controls; the constitution; petitions; government secrets; corruption; nuclear weapons;
        trade deals; regional parliaments; citizens' assemblies; party leaders; the news; world
        leaders; international courts; elections""",
        """make voting compulsory; hold a referendum every year; limit presidents to one term; ban
        political donations; publish every meeting with lobbyists; spend more on defence; let
        citizens' assemblies write laws; elect judges; reduce the number of ministers; move the
        capital; forbid strikes in hospitals; send peacekeepers abroad; make election day a
        holiday; cut the pay of politicians""",
        """ordinary people would be heard; power should be shared; politicians would have to
        listen; corruption would be harder; peace is worth the effort; voters deserve the truth;
        democracy needs practice; fresh ideas would come in; the country would be safer; it would
        restore some trust; decisions should be made close to the people; history shows it works""",
        """most people do not follow the details; it would slow everything down; the rich would
        find another way; experts know more than a crowd; it could be abused; the system works
        well enough; extremists would profit; the money is needed for schools; we elect leaders to
        decide; enemies would see weakness; people are tired of politics; promises are never
        kept""",
    ),
)
